"""The gateway's own pages: signing in and out, what is served, and what is not there.

Plain HTML that works without JavaScript and fetches nothing: a mill pond in the light and at night. The one
style sheet stands in the page and is allowed by its hash, so that no other style or script can run.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

STYLE = """
:root{color-scheme:light dark;--ground:#eef4f3;--deep:#d9e8e6;--card:#fdfefe;--ink:#17312f;--soft:#52706d;
--line:#c5d6d4;--accent:#17655f;--accent-ink:#fff;--alarm:#9a2c1f;--alarm-ground:#fbeae6;--water:#9cc5c1;
--wheel:#2c5f5a;--field:#fff}
@media (prefers-color-scheme:dark){:root{--ground:#0d1b1d;--deep:#12282b;--card:#142629;--ink:#e3efed;
--soft:#9ab5b2;--line:#2c4549;--accent:#7fd0c6;--accent-ink:#06201e;--alarm:#ffb4a6;--alarm-ground:#3a1d1a;
--water:#2a5a5c;--wheel:#8fc9c2;--field:#0f1f21}}
*{box-sizing:border-box}
html{height:100%}
body{margin:0;min-height:100%;display:flex;flex-direction:column;align-items:center;color:var(--ink);
background:linear-gradient(var(--ground),var(--deep)) fixed;
font:1rem/1.55 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{width:100%;max-width:26rem;padding:9vh 1.25rem 2rem;flex:1}
main.wide{max-width:44rem}
.brand{display:flex;align-items:center;gap:.75rem;margin:0 0 1.5rem;font-size:1.15rem;font-weight:600;
letter-spacing:.01em}
.brand svg{width:2.75rem;height:2.75rem;flex:none}
.card{background:var(--card);border:1px solid var(--line);border-radius:.875rem;padding:1.75rem;
box-shadow:0 1px 2px rgb(10 40 40/.05),0 12px 32px -12px rgb(10 40 40/.18)}
h1{margin:0 0 .25rem;font-size:1.5rem;line-height:1.25;letter-spacing:-.01em}
h2{margin:2rem 0 .75rem;font-size:.95rem;font-weight:600;color:var(--soft)}
p{margin:.25rem 0 1rem;overflow-wrap:anywhere}
.soft{color:var(--soft)}
.small{font-size:.9rem;margin-top:1.1rem}
label{display:block;margin:1rem 0 .35rem;font-weight:600;font-size:.95rem}
input{width:100%;padding:.65rem .8rem;font:inherit;color:inherit;background:var(--field);
border:1px solid var(--soft);border-radius:.5rem}
input[aria-invalid=true]{border-color:var(--alarm)}
button{font:inherit;font-weight:600;cursor:pointer;border-radius:.5rem;padding:.65rem 1.1rem;
border:1px solid var(--accent)}
button.main{width:100%;margin-top:1.5rem;background:var(--accent);color:var(--accent-ink)}
button.main:hover{filter:brightness(1.1)}
button.quiet{background:none;color:var(--accent);border-color:var(--line);padding:.35rem .8rem;
font-size:.9rem}
button.quiet:hover{border-color:var(--accent)}
a{color:var(--accent)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--deep);
padding:.1em .35em;border-radius:.3em;white-space:nowrap}
.alarm{margin:1rem 0 0;padding:.7rem .9rem;border-radius:.5rem;background:var(--alarm-ground);
color:var(--alarm);font-weight:500}
.top{display:flex;align-items:center;justify-content:space-between;gap:1rem;flex-wrap:wrap;
margin-bottom:1.5rem}
.top .brand{margin:0}
.who{display:flex;align-items:center;gap:.75rem;font-size:.9rem;color:var(--soft)}
ul{list-style:none;margin:0;padding:0;display:grid;gap:.75rem;
grid-template-columns:repeat(auto-fill,minmax(min(100%,18rem),1fr))}
li a,li .site{display:block;height:100%;padding:1rem 1.15rem;background:var(--card);
border:1px solid var(--line);border-radius:.75rem;text-decoration:none;color:inherit}
li a:hover{border-color:var(--accent)}
li strong{display:block;font-weight:600}
li span{display:block;color:var(--soft);font-size:.875rem;overflow-wrap:anywhere}
.pond{display:block;width:100%;height:5.5rem;color:var(--water);flex:none}
""".strip()

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

_SHAPE = (  # a water wheel of eight buckets, seen from the side
    '<circle cx="24" cy="22" r="13.2"/><circle cx="24" cy="22" r="3"/><path d="'
    "M37.5 22.0L42.0 26.2M33.5 31.5L33.8 37.7M24.0 35.5L19.8 40.0M14.5 31.5L8.3 31.8M10.5 22.0L"
    "6.0 17.8M14.5 12.5L14.2 6.3M24.0 8.5L28.2 4.0M33.5 12.5L39.7 12.2M27.6 22.0L37.0 22.0M26.5"
    " 24.5L33.2 31.2M24.0 25.6L24.0 35.0M21.5 24.5L14.8 31.2M20.4 22.0L11.0 22.0M21.5 19.5L14.8"
    " 12.8M24.0 18.4L24.0 9.0M26.5 19.5L33.2 12.8"
    '"/>'
)
_WAVE = "M2 42.5c3.7-3 7.3-3 11 0s7.3 3 11 0 7.3-3 11 0 7.3 3 11 0"
_WHEEL = (
    '<svg viewBox="0 0 48 48" fill="none" stroke="var(--wheel)" stroke-width="2.4" stroke-linecap="round" '
    f'aria-hidden="true">{_SHAPE}<path d="{_WAVE}" stroke="var(--water)" stroke-width="3.4"/></svg>'
)
_POND = (
    '<svg class="pond" viewBox="0 0 1200 88" preserveAspectRatio="none" aria-hidden="true" '
    'fill="currentColor">'
    '<path opacity=".35" d="M0 34c150-26 300-26 450 0s300 26 450 0 200-22 300-8v62H0z"/>'
    '<path opacity=".45" d="M0 54c200-22 350-14 560 0s420 18 640-4v38H0z"/>'
    '<path opacity=".8" d="M0 74c240-14 480-10 700 0s340 8 500-2v16H0z"/></svg>'
)


_ICON = "data:image/svg+xml," + quote(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48" fill="none" stroke="#2c8079" '
    f'stroke-width="3.4">{_SHAPE}<path d="{_WAVE}" stroke="#7fb8b2"/></svg>'
)


@dataclass(frozen=True)
class Place:
    """A host on the landing page."""

    title: str
    url: str
    sign_in: bool


def policy(origin_pattern: str) -> dict[str, str]:
    """The headers of the gateway's own pages.

    Args:
        origin_pattern: where forms and what they redirect to may lead, as CSP sources.
    """
    return {
        "content-security-policy": (
            f"default-src 'none'; img-src data:; style-src 'sha256-{_STYLE_HASH}'; "
            f"form-action 'self' {origin_pattern}; frame-ancestors 'none'; base-uri 'none'"
        ),
        "cache-control": "no-store",
        # Not no-referrer: the form's Origin header would be null with it.
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }


def _page(title: str, content: str, *, wide: bool = False) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="{_ICON}">'
        f"<title>{escape(title)} · Millpond</title><style>{STYLE}</style></head><body>"
        f"<main{' class=wide' if wide else ''}>{content}</main>{_POND}</body></html>"
    )


def _brand() -> str:
    return f'<p class="brand">{_WHEEL}Millpond</p>'


def sign_in(*, action: str, target: str, place: str, user: str = "", error: str | None = None) -> str:
    """The form; after a wrong password it says so, keeps the user name, and points at the password.

    Args:
        action: where the form goes.
        target: the address to go on to, kept through the form.
        place: what the user wanted to open.
        user: what was typed before.
        error: what was wrong.
    """
    alarm = f'<p class="alarm" role="alert" id="error">{escape(error)}</p>' if error else ""
    wrong = ' aria-invalid="true" aria-describedby="error"' if error else ""
    focus_user, focus_password = ("", " autofocus") if user else (" autofocus", "")
    return _page(
        "Sign in failed" if error else "Sign in",
        f'{_brand()}<div class="card"><h1>Sign in</h1><p class="soft">to open {escape(place)}</p>{alarm}'
        f'<form method="post" action="{escape(action)}">'
        f'<input type="hidden" name="next" value="{escape(target)}">'
        '<label for="user">User name</label>'
        f'<input id="user" name="user" value="{escape(user)}" autocomplete="username" autocapitalize="none" '
        f'spellcheck="false" required{focus_user}{wrong}>'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required'
        f'{focus_password}{wrong}><button class="main" type="submit">Sign in</button></form></div>'
        '<p class="soft small">The user name and password were made with the platform: '
        "<code>millpond credentials gateway</code> shows them.</p>",
    )


def sign_out(*, action: str, user: str | None) -> str:
    """Asks whether to sign out, or says that nobody is signed in."""
    if user is None:
        return _page(
            "Signed out",
            f'{_brand()}<div class="card"><h1>You are signed out</h1>'
            '<p class="soft">On all of this platform\'s '
            'pages in this browser.</p><p><a href="/sign-in">Sign in again</a></p></div>',
        )
    return _page(
        "Sign out",
        f'{_brand()}<div class="card"><h1>Sign out</h1>'
        f'<p class="soft">You are signed in as {escape(user)}. '
        "Signing out ends the session on every page of this platform.</p>"
        f'<form method="post" action="{escape(action)}">'
        '<button class="main" type="submit">Sign out</button></form>'
        "</div>",
    )


def landing(*, places: Iterable[Place], user: str) -> str:
    """What is served, with links; endpoints that need no sign-in stand apart."""
    found = list(places)
    behind = [place for place in found if place.sign_in]
    endpoints = [place for place in found if not place.sign_in]
    content = (
        f'<div class="top">{_brand()}<form class="who" method="post" action="/.millpond/sign-out">'
        f"<span>Signed in as {escape(user)}</span>"
        '<button class="quiet" type="submit">Sign out</button></form></div>'
        "<h1>What is running</h1>"
    )
    if not found:
        content += '<p class="soft">Nothing is served yet. <code>millpond up</code> starts the platform.</p>'
    if behind:
        content += f"<h2>To open in the browser</h2><ul>{''.join(_item(place) for place in behind)}</ul>"
    if endpoints:
        content += f"<h2>Endpoints for programs</h2><ul>{''.join(_item(place) for place in endpoints)}</ul>"
    return _page("What is running", content, wide=True)


def _item(place: Place) -> str:
    return (
        f'<li><a href="{escape(place.url)}"><strong>{escape(place.title)}</strong>'
        f"<span>{escape(place.url.partition('://')[2].rstrip('/'))}</span></a></li>"
    )


def unknown_host(places: Iterable[Place]) -> str:
    """For a name of the domain that nothing has."""
    items = "".join(_item(place) for place in places)
    listing = f"<h2>These are served</h2><ul>{items}</ul>" if items else ""
    return _page(
        "No such name",
        f"{_brand()}<h1>Nothing has this name</h1>"
        '<p class="soft">The gateway is here, but no part of the platform '
        f"is called like that. It may not have started yet: <code>millpond status</code> tells.</p>{listing}",
        wide=True,
    )


def not_answering() -> str:
    """For Envoy to fill in when an upstream, or the agent, is not there."""
    page = _page(
        "Not answering",
        f'{_brand()}<div class="card"><h1>This part is not answering</h1>'
        '<p class="soft">It may be starting, or it '
        "has stopped. <code>millpond status</code> tells, and the page can be loaded again in a moment.</p>"
        '<p class="soft small">Status @CODE@ @HOST@</p></div>',
    )
    return (
        page.replace("%", "%%")
        .replace("@CODE@", "%RESPONSE_CODE%")
        .replace("@HOST@", "· %RESPONSE_FLAGS_LONG%")
    )


def notice(title: str, text: str) -> str:
    """A page with one thing to say."""
    return _page(
        title, f'{_brand()}<div class="card"><h1>{escape(title)}</h1><p class="soft">{escape(text)}</p></div>'
    )
