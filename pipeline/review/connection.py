"""A connection to a Label Studio, here or elsewhere, and what its refusals mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Self

import httpx

from pipeline.review.errors import LabelStudioError

TIMEOUT_SECONDS = 300.0  # an import of 500 tasks takes a second or two, and ten times that on a busy laptop


def knock(url: str, *, patience: float) -> None:
    """Raise LabelStudioError at once where nobody answers: a session would try again for some seconds, and must load
    the SDK first. `patience` is in seconds.
    """
    try:
        httpx.get(f"{url}/health", timeout=patience, trust_env="127.0.0.1" not in url)
    except httpx.TimeoutException as error:
        raise LabelStudioError(f"{url} did not answer in time") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise LabelStudioError(_nobody(url, error)) from error


def _nobody(url: str, error: Exception) -> str:
    return f"no Label Studio answers at {url} ({error}): start it with `dailies up`, or set label_studio_url"


class Connection:
    """A session with one server. Use it in a `with`. Raises LabelStudioError for all that the server does wrong."""

    def __init__(self, url: str, token: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """`token`: a legacy token, or a personal access token (the SDK tells them apart and renews the second)."""
        from label_studio_sdk import LabelStudio

        self.url = url.rstrip("/")
        # Label Studio's own server sends the head and the body of an answer apart, and on a connection that is kept the
        # body waits 40 ms for our acknowledgement: whoami took 53 ms there, 13 ms on a new one. Where there is https,
        # another server stands in front, and a new connection is dear.
        kept = 20 if self.url.startswith("https:") else 0
        self._http = httpx.Client(
            timeout=timeout,
            follow_redirects=True,
            limits=httpx.Limits(max_keepalive_connections=kept),
            # A proxy of the environment would be asked for 127.0.0.1 too.
            trust_env="127.0.0.1" not in url,
        )
        self._sdk = LabelStudio(  # type: ignore[no-untyped-call]
            base_url=self.url, api_key=token, timeout=timeout, httpx_client=self._http
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def _all(self, path: str, what: str, **params: Any) -> Iterator[dict[str, Any]]:
        """What a list of the server holds, page after page; the SDK would ask for an empty one after the last."""
        for page in count(1):
            with self._asking(what):
                found = json_of(self._request(path, method="GET", params={"page": page, "page_size": 100, **params}))
            yield from found["results"]
            if not found["next"]:
                return

    def _request(self, path: str, **options: Any) -> httpx.Response:
        """What the SDK has no method for, or a slow one; its HTTP client brings address, token and its renewal."""
        return self._sdk._client_wrapper.httpx_client.request(path, **options)

    @contextmanager
    def _asking(self, what: str, remedy: str = "") -> Iterator[None]:
        """Put into words what went wrong while asking the server `what`."""
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except httpx.TimeoutException as error:
            raise LabelStudioError(f"{self.url} did not answer in time, asked {what}{remedy}") from error
        except httpx.HTTPStatusError as error:
            raise LabelStudioError(
                self._refusal(error.response.status_code, error.response.text, what, remedy)
            ) from error
        except httpx.HTTPError as error:
            raise LabelStudioError(_nobody(self.url, error)) from error
        except ApiError as error:
            raise LabelStudioError(self._refusal(error.status_code or 0, error.body, what, remedy)) from error

    def _refusal(self, status: int, body: object, what: str, remedy: str) -> str:
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return (
                f"{self.url} refuses the token ({status}): take a new one from its page Account & Settings and set"
                " DAILIES_LABEL_STUDIO_TOKEN (a legacy token works only where the organization allows them)"
            )
        if status == httpx.codes.NOT_FOUND:
            return f"{self.url} does not have what was asked {what}: somebody deleted it meanwhile; push again"
        said = body.get("validation_errors") or body.get("detail") if isinstance(body, dict) else body
        return f"{self.url} refused, asked {what} ({status}: {str(said)[:600]}){remedy}"


def json_of(response: httpx.Response) -> Any:
    """The JSON of an answer. Raises httpx.HTTPStatusError where it is a refusal."""
    response.raise_for_status()
    return response.json()
