"""`ask_all` on the service of tests/helpers/served.py, through its moderation interface."""

from axolotl_slung.evals.services.remote import ask_all
from axolotl_slung.evals.services.service import Service

TEXTS = [f"secretive text {i}" for i in range(40)]


def service(served, **settings):
    given = {"variable": "OPENAI_API_KEY", "header": ("Authorization", "Bearer "), "required": True} | settings
    return Service("SLUNG_SCORER='x'", served.url, **given)


def highest(reply):
    return max(reply["results"][0]["category_scores"].values())


def ask(served, texts, cache, concurrency=8, per_second=None, **settings):
    there = service(served, **settings)
    return ask_all(
        [("test", text) for text in texts],
        lambda request: there.post("/moderations", {"input": request[1]}, highest),
        cache,
        concurrency=concurrency,
        per_second=per_second,
        what=f"test {served.url}",
    )
