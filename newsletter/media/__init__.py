"""Pictures: uploaded bytes become clean files in the storage, in the sizes that mails and pages show.

    bytes ─► limited process: decode, turn, strip metadata, sRGB, shrink, encode ─► storage ─► Picture, PictureFile

Nothing of an uploaded file is kept as it came: what is stored and served was encoded here. `store.store_picture` is the
way in. Nothing is imported here, because the limited process has neither Django nor a database.
"""
