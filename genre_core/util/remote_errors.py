"""Reasons and remedies for the errors of storage libraries, in plain words."""

from __future__ import annotations

from genre_core.errors import causes, one_line

# Names of the error classes of botocore, aiohttp, google.auth and gcsfs: importing these libraries here would need them installed.
_NO_CREDENTIALS = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound", "TokenRetrievalError"),
    *("UnauthorizedSSOTokenError", "SSOTokenLoadError", "DefaultCredentialsError", "RefreshError"),
}
_NO_CONNECTION = {
    *(
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        "HTTPClientError",
        "ProxyConnectionError",
    ),
    *("ClientConnectorError", "ClientOSError", "ServerDisconnectedError", "ServerTimeoutError", "TransportError"),
    *("ConnectionError", "TimeoutError", "gaierror", "FSTimeoutError"),
}
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (`aws configure` writes one)",
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
}
_ENDPOINT = {
    "s3": "check the network, and AWS_ENDPOINT_URL if the bucket is not at Amazon",
    "gs": "check the network",
}


def reason_and_remedy(error: BaseException, scheme: str) -> tuple[str, str]:
    """Say in plain words why a bucket cannot be read, and what to do.

    Parameters
    ----------
    error : exception
        Error of fsspec, s3fs, gcsfs or a library below them.
    scheme : {"s3", "gs"}
        Kind of the bucket.

    Returns
    -------
    reason, remedy : str
    """
    scheme = "gs" if scheme in ("gs", "gcs") else "s3"
    names = {kind.__name__ for link in causes(error) for kind in type(link).__mro__}
    text = one_line(" ".join(str(error).split()))[:300]
    if names & _NO_CREDENTIALS or "Anonymous caller" in text or "Invalid Credentials" in text:
        return f"no usable credentials ({text})", _CREDENTIALS[scheme]
    if "PermissionError" in names or "Forbidden" in text:
        return f"access is refused ({text})", f"ask for the right to list and read it, or {_CREDENTIALS[scheme]}"
    if "FileNotFoundError" in names:
        return f"no such bucket or folder ({text})", "check its name"
    if names & _NO_CONNECTION:
        return f"no connection ({text})", _ENDPOINT[scheme]
    return f"cannot be read ({type(error).__name__}: {text})", _ENDPOINT[scheme]
