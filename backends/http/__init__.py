"""The measured HTTP backend, `python -m backends`: a raw, fast server and an aiohttp application."""
