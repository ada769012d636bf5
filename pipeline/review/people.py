"""Reviewers with a login of their own, so that decisions say who made them."""

import re
import secrets
from dataclasses import dataclass

import httpx

from pipeline.review import interface
from pipeline.review.client import Client
from pipeline.review.errors import LabelStudioError

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who can log in at `url`. The password is told once; Label Studio keeps only its hash."""

    email: str
    password: str
    url: str


def add_person(client: Client, email: str) -> Person:
    """Create a reviewer who can log in, with the keys that delete work switched off.

    Label Studio's API makes users without a password, so this fills in the form that an invited person would. Raises
    ValueError where `email` is none or has an account, LabelStudioError where the server refuses.
    """
    if not _EMAIL.fullmatch(email):
        raise ValueError(f"{email!r} is no e-mail address, and Label Studio knows people by theirs")
    email = email.lower()  # As Label Studio keeps it.
    if email in client.people().values():
        raise ValueError(
            f"{email} has an account at {client.url} already; where the password is lost, the server's owner sets a new"
            f" one: `label-studio reset_password --username {email}`"
        )
    person = Person(email, secrets.token_urlsafe(12), f"{client.url}/user/login/")
    invitation = client.invitation()
    with httpx.Client(base_url=client.url, timeout=60, trust_env="127.0.0.1" not in client.url) as browser:
        try:
            _sign_up(browser, person, invitation)
            _disarm(browser)
        except httpx.HTTPError as error:
            raise LabelStudioError(f"{client.url} failed while it made {email}: {error}") from error
    if email not in client.people().values():
        raise LabelStudioError(f"{client.url} took the form for {email}, but made no account: see its log")
    return person


def _sign_up(browser: httpx.Client, person: Person, invitation: str) -> None:
    address = {"token": invitation}
    browser.get("/user/signup/", params=address).raise_for_status()
    form = {"email": person.email, "password": person.password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    answer = browser.post("/user/signup/", params=address, data=form, headers={"Referer": f"{browser.base_url}"})
    if answer.status_code != httpx.codes.FOUND:
        raise LabelStudioError(
            f"{browser.base_url} does not take {person.email} ({answer.status_code}); is sign-up by invitation allowed?"
        )


def _disarm(browser: httpx.Client) -> None:
    """Signing up has logged the person in, so this is in their name: everybody's keys are their own."""
    keys = {name: {"key": key, "active": False} for name, key in interface.DISARMED.items()}
    headers = {"X-CSRFToken": browser.cookies["csrftoken"], "Referer": f"{browser.base_url}"}
    browser.patch("/api/current-user/hotkeys/", json={"custom_hotkeys": keys}, headers=headers).raise_for_status()
