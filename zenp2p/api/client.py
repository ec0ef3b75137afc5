"""The way to a running daemon: JSON-RPC over loopback, with its cookie.

Answers for: a program finds the daemon by its data directory alone, and every way in
which that can fail is one clear sentence and an error of its own. Blocking, and with
the standard library's client, which starts six times faster than any other. What the
methods mean is left to the daemon. Spec: `spec/rpc.md`.
"""

import base64
import http.client
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protocol.errors import ZenError
from zenp2p.api.errors import ERROR_BY_CODE, InternalError, NotReady, RpcError
from zenp2p.data_directory import DataDirectory

TIMEOUT_SECONDS = 30
ANSWER_BYTES_MAX = 64 << 20
"""Bytes of the largest answer that is read (an exported list of a large network)."""


class DaemonUnreachable(ZenError):
    """No daemon runs on this data directory, or it does not answer."""


class AccessDenied(ZenError):
    """The cookie cannot be read, or the daemon does not accept it."""


class RpcClient:
    """Calls methods of the daemon that runs on one data directory."""

    def __init__(self, data_dir: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._directory = DataDirectory(data_dir)
        self._timeout_seconds = timeout_seconds

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        """Return the result of one method.

        Raises `DaemonUnreachable`, `AccessDenied`, or the `RpcError` that the daemon answers.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {} if params is None else params}
        answer = self._post(json.dumps(request).encode())
        if not isinstance(answer, dict) or ("error" not in answer and "result" not in answer):
            raise InternalError("the daemon's answer is no JSON-RPC")
        if "error" in answer:
            raise _error(answer["error"])
        return answer["result"]

    def _post(self, body: bytes) -> Any:
        host, port = self._address()
        connection = http.client.HTTPConnection(host, port, timeout=self._timeout_seconds)
        headers = {"content-type": "application/json", "authorization": self._authorization()}
        try:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            data = response.read(ANSWER_BYTES_MAX + 1)
        except TimeoutError:
            raise DaemonUnreachable(
                f"the daemon at {host}:{port} does not answer within {self._timeout_seconds:g} seconds"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise DaemonUnreachable(
                f"no daemon answers at {host}:{port} ({reason}); start it with: zenp2pd run"
            ) from None
        finally:
            connection.close()
        if response.length and len(data) <= ANSWER_BYTES_MAX:
            raise DaemonUnreachable(
                f"the answer of the daemon at {host}:{port} was cut off; it may have done what was asked"
            )
        return _parse(response.status, data)

    def _address(self) -> tuple[str, int]:
        """Read where the daemon listens."""
        try:
            host, _, port = self._directory.rpc_address.read_text().strip().rpartition(":")
            return host.strip("[]"), int(port)
        except FileNotFoundError:
            raise self._not_running() from None
        except ValueError:
            raise DaemonUnreachable(f"{self._directory.rpc_address} does not hold an address") from None
        except OSError as error:
            raise AccessDenied(f"{self._directory.rpc_address}: {error.strerror}") from None

    def _authorization(self) -> str:
        try:
            cookie = self._directory.cookie.read_bytes().strip()
        except FileNotFoundError:
            raise self._not_running() from None
        except OSError as error:
            raise AccessDenied(f"{self._directory.cookie}: {error.strerror}") from None
        return "Basic " + base64.b64encode(cookie).decode()

    def _not_running(self) -> DaemonUnreachable:
        return DaemonUnreachable(f"no daemon runs on {self._directory.path}; start it with: zenp2pd run")


def _parse(status: int, data: bytes) -> Any:
    """Return the JSON of an answer, or raise what its HTTP status means."""
    if status in (401, 403):
        raise AccessDenied(f"the daemon does not accept our cookie (HTTP {status})")
    if status == 503:
        raise NotReady("the daemon has too many connections; try again")
    if status == 504:
        raise NotReady("the daemon did not do it in time; try again")
    if status != 200:
        raise InternalError(f"the daemon answered HTTP {status}")
    if len(data) > ANSWER_BYTES_MAX:
        raise InternalError(f"the daemon's answer has more than {ANSWER_BYTES_MAX} bytes")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise InternalError("the daemon's answer is no JSON") from None


def _error(error: Any) -> RpcError:
    """Return the error that the daemon names, as the class for its code."""
    if not isinstance(error, dict) or not isinstance(error.get("code"), int):
        return InternalError("the daemon's error has no code")
    message = str(error.get("message", ""))
    kind = ERROR_BY_CODE.get(error["code"])
    return InternalError(f"error {error['code']}: {message}") if kind is None else kind(message)
