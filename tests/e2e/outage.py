"""Visits everything that a manifest names, under both its names and in each coding, and prints one line a visit: where, the status, a digest
of the bytes, and what Cache-Status says first. Usage: outage.py PORT MANIFEST [LOGICAL_HOST]; LEAVE_OUT names an asset that is not visited."""

import hashlib
import http.client
import json
import os
import sys
from urllib.parse import quote, urlsplit

port, manifest = int(sys.argv[1]), json.load(open(sys.argv[2]))
left_out = os.environ.get("LEAVE_OUT")
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
for asset, url in sorted(manifest.items()):
    if asset == left_out:
        continue
    for host, path in [("cdn.example.nl", urlsplit(url).path), ("www.example.nl", "/" + quote(asset))]:
        for coding in ["identity", "br"]:
            connection.request("GET", path, headers={"Host": host, "Accept-Encoding": coding})
            response = connection.getresponse()
            digest = hashlib.sha256(response.read()).hexdigest()
            told = (response.getheader("cache-status") or "").split(";")[1:2]
            print(host, path, coding, response.status, digest, "hit" if told == [" hit"] else told)
