"""Recordings in object stores and on servers: addresses, copies, locks; what fsspec can reach."""
