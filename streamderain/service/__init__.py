"""The web service: a page, REST, live pictures, metrics and health, over HTTP.

It stands on :class:`~streamderain.live.control.Control` and knows nothing else of what runs. All
of it needs the packages of ``streamderain[service]`` but ``opening``, which says so where they
aren't there.
"""
