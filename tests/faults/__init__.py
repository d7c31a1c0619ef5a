"""Fault plans: an operator behind a proxy that breaks one request or one watch at a time, and what must hold whatever breaks."""
