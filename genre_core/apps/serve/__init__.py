"""Local web page and HTTP API for genre prediction.

The page takes a file or a recording and shows its genres, their timeline and the explanation of the prediction. No data leaves the
machine. The server takes the bytes of an upload, never a path, so a client cannot make it read other files. `guard` checks host names and
origins, `work` bounds the number of requests, `uploads` receives files, `api` defines the routes, `answers` builds the JSON, `server` runs
uvicorn, and ``static`` holds the page.
"""

from __future__ import annotations
