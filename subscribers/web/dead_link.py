"""The page of a preferences link that does not work."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render

from subscribers.signup.limits import TooManySignups
from subscribers.signup.links import request_links
from subscribers.web.evidence import network_of
from subscribers.web.forms import AddressForm
from subscribers.web.pages import invalid_link


def dead_link(request: HttpRequest) -> HttpResponse:
    """The page of a link that does not work: it sends new ones, with the same answer for every address."""
    if request.method != "POST" and "asked" in request.GET:
        return render(request, "subscribers/link_asked.html")
    form = AddressForm(request.POST if request.POST.get("action") == "new-link" else None)
    if not form.is_valid():
        return invalid_link(request, link_form=form)
    try:
        request_links(form.address, network=network_of(request))
    except TooManySignups as error:
        response = invalid_link(request, link_form=AddressForm(), is_too_many=True)
        response.status_code, response["Retry-After"] = 429, str(error.retry_seconds)
        return response
    return HttpResponseRedirect(f"{request.path}?asked", status=303)
