"""Debian's nginx as it is compared with: one worker, no log, on free ports, with a configuration made here."""

import pathlib
import subprocess

import load

CONFIG = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 1000000000; server_tokens off; default_type application/json;
  open_file_cache max=100 inactive=1h; open_file_cache_valid 1h; sendfile on; tcp_nopush on; tcp_nodelay on;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port}; root {folder};
    location = /return {{ return 200 '{body}'; }}
    location = /return-with-headers {{ {headers} return 200 '{body}'; }}
  }}
}}
"""


def start(folder, body, headers):
    """Serves `body`: /return, /return-with-headers and the file /static."""
    folder = pathlib.Path(folder)
    folder.chmod(0o755)  # the worker is another user
    (folder / "static").write_text(body, encoding="utf-8")
    port = load.free_port()
    said = "".join(f"add_header {name} '{value}'; " for name, value in headers.items())
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, body=body, headers=said), encoding="utf-8")
    subprocess.run(["nginx", "-t", "-q", "-c", str(config)], check=True)
    return load.Server(["nginx", "-c", str(config)], address=f"127.0.0.1:{port}")
