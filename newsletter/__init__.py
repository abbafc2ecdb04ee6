"""WHAT is sent and WHEN: the Django project and its publishing app."""
