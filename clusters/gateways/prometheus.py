"""Does a Prometheus-compatible server answer? The client for real queries comes with the parts that ask them."""

from urllib.parse import urlsplit

import requests

TIMEOUT = (3.0, 5.0)  # seconds to connect, to read
_BODY_LIMIT = 64 * 1024


class PrometheusFailed(Exception):
    """The server did not answer as Prometheus does; the text is one sentence."""


def check_url(url: str) -> str:
    """The URL without a trailing slash. Raises ValueError with a sentence when it cannot be one of Prometheus."""
    parts = urlsplit(url.strip())
    try:
        port_is_valid = parts.port is None or parts.port >= 1
    except ValueError:
        port_is_valid = False
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        raise ValueError("This is not an address such as http://prometheus.example:9090.")
    if parts.username or parts.password:
        raise ValueError("Name and password do not belong in the address: it is shown on pages.")
    if parts.query or parts.fragment:
        raise ValueError("The address ends with its path.")
    return url.strip().rstrip("/")


def check_answers(url: str) -> None:
    """Ask for the value of `1`, within eight seconds. Raises PrometheusFailed."""
    session = requests.Session()
    session.trust_env = False
    try:
        with session.get(
            f"{url}/api/v1/query", params={"query": "1"}, timeout=TIMEOUT, allow_redirects=False, stream=True
        ) as answer:
            status, body = answer.status_code, answer.raw.read(_BODY_LIMIT, decode_content=True)
    except requests.exceptions.SSLError as error:
        raise PrometheusFailed(f"No secure connection to {url} could be made.") from error
    except requests.exceptions.Timeout as error:
        raise PrometheusFailed(f"{url} did not answer in time.") from error
    except (requests.exceptions.RequestException, OSError) as error:
        raise PrometheusFailed(f"{url} cannot be reached.") from error
    finally:
        session.close()
    if status in {401, 403}:
        raise PrometheusFailed(f"{url} asks for a sign-in.")
    if status != 200 or b'"status":"success"' not in body.replace(b" ", b""):
        raise PrometheusFailed(f"What answers at {url} is not Prometheus (HTTP {status}).")
