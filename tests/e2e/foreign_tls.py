# SPDX-License-Identifier: Apache-2.0
"""TLS of OpenSSL and of GnuTLS with what Python's ssl does not have: changes of keys (RFC 8446 section 4.6.3). Each is what a StreamClient wraps a
connection in."""

import ctypes
import socket
import time

KEY_UPDATE = 24
HANDSHAKE = 22


def library(name, *versions):
    """The library as the system has it, without what it is built with. None: there is none."""
    for version in versions:
        try:
            return ctypes.CDLL("lib%s.so.%s" % (name, version))
        except OSError:
            continue
    return None


class _Foreign:
    """A connection that blocks; `updates` is how many changes of keys the relay has announced."""

    def __init__(self, connection):
        self.connection = connection
        self.patience = 3600
        self.updates = 0
        connection.setblocking(True)

    def settimeout(self, seconds):
        """The library reads the descriptor, which blocks: the kernel has it return in time."""
        value = 0 if seconds is None else max(seconds, 0.001)
        self.patience = value or 3600
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, int(value).to_bytes(8, "little") + int(value % 1 * 1e6).to_bytes(8, "little"))

    def setsockopt(self, *option):
        self.connection.setsockopt(*option)

    def getpeername(self):
        return self.connection.getpeername()

    def fileno(self):
        return self.connection.fileno()

    def close(self):
        self.connection.close()


class OpenSsl(_Foreign):
    _lib = library("ssl", "3", "1.1")
    _on_message = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_ubyte), ctypes.c_size_t, ctypes.c_void_p,
                                   ctypes.c_void_p)
    ciphers = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")

    @classmethod
    def missing(cls):
        return None if cls._lib else "no OpenSSL library here"

    def __init__(self, connection, cipher=None):
        super().__init__(connection)
        lib = self._lib
        for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
            getattr(lib, name).restype = ctypes.c_void_p
        lib.SSL_get_version.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p(lib.SSL_CTX_new(ctypes.c_void_p(lib.TLS_client_method())))
        if cipher:
            assert lib.SSL_CTX_set_ciphersuites(self.context, cipher.encode()) == 1
        self.ssl = ctypes.c_void_p(lib.SSL_new(self.context))
        self._callback = self._on_message(self._look)
        lib.SSL_set_msg_callback(self.ssl, self._callback)
        lib.SSL_set_fd(self.ssl, connection.fileno())
        if lib.SSL_connect(self.ssl) != 1:
            raise OSError("OpenSSL: the handshake failed")

    def _look(self, writes, _version, kind, data, size, _ssl, _arg):  # pylint: disable=too-many-arguments,too-many-positional-arguments
        if not writes and kind == HANDSHAKE and size and data[0] == KEY_UPDATE:
            self.updates += 1

    def version(self):
        return self._lib.SSL_get_version(self.ssl).decode()

    def update(self, both):
        """New keys for what is sent, announced with what is sent next; and for what comes, if `both`."""
        assert self._lib.SSL_key_update(self.ssl, 1 if both else 0) == 1
        assert self._lib.SSL_do_handshake(self.ssl) == 1

    def sendall(self, data):
        if data and self._lib.SSL_write(self.ssl, bytes(data), len(data)) != len(data):
            raise OSError("OpenSSL: it does not write")

    def recv(self, size):
        out = ctypes.create_string_buffer(size)
        n = self._lib.SSL_read(self.ssl, out, size)
        if n > 0:
            return out.raw[:n]
        error = self._lib.SSL_get_error(self.ssl, n)
        if error == 2:  # SSL_ERROR_WANT_READ
            raise socket.timeout()
        if error == 6:  # SSL_ERROR_ZERO_RETURN
            return b""
        raise OSError("OpenSSL: error %d" % error)

    def close(self):
        self._lib.SSL_free(self.ssl)
        self._lib.SSL_CTX_free(self.context)
        super().close()


class GnuTls(_Foreign):
    _lib = library("gnutls", "30")
    _hook = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p)
    ciphers = ("AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305")

    @classmethod
    def missing(cls):
        return None if cls._lib else "no GnuTLS library here"

    def __init__(self, connection, cipher=None):
        super().__init__(connection)
        lib = self._lib
        lib.gnutls_record_send.restype = lib.gnutls_record_recv.restype = ctypes.c_ssize_t
        lib.gnutls_protocol_get_name.restype = ctypes.c_char_p
        self.session, self.credentials = ctypes.c_void_p(), ctypes.c_void_p()
        self._check(lib.gnutls_init(ctypes.byref(self.session), 2))  # GNUTLS_CLIENT
        self._check(lib.gnutls_certificate_allocate_credentials(ctypes.byref(self.credentials)))
        priority = "NORMAL" + (":-CIPHER-ALL:+" + cipher if cipher else "")
        self._check(lib.gnutls_priority_set_direct(self.session, priority.encode(), None))
        self._check(lib.gnutls_credentials_set(self.session, 1, self.credentials))  # GNUTLS_CRD_CERTIFICATE
        self._callback = self._hook(self._look)
        lib.gnutls_handshake_set_hook_function(self.session, KEY_UPDATE, 1, self._callback)  # GNUTLS_HOOK_POST
        lib.gnutls_transport_set_int2(self.session, connection.fileno(), connection.fileno())
        self._check(lib.gnutls_handshake(self.session))

    def _look(self, _session, _kind, _when, incoming, _data):  # pylint: disable=too-many-arguments,too-many-positional-arguments
        self.updates += incoming
        return 0

    @staticmethod
    def _check(result):
        if result < 0:
            raise OSError("GnuTLS: error %d" % result)

    def version(self):
        return self._lib.gnutls_protocol_get_name(self._lib.gnutls_protocol_get_version(self.session)).decode().replace("TLS", "TLSv")

    def update(self, both):
        self._check(self._lib.gnutls_session_key_update(self.session, 1 if both else 0))  # GNUTLS_KU_PEER

    def sendall(self, data):
        if data:
            sent = self._lib.gnutls_record_send(self.session, bytes(data), ctypes.c_size_t(len(data)))
            self._check(sent)
            assert sent == len(data)

    def recv(self, size):
        out = ctypes.create_string_buffer(size)
        end = time.monotonic() + self.patience
        # GNUTLS_E_AGAIN: the time is over, or there was a message of the handshake, new keys, which is none of ours.
        while (n := self._lib.gnutls_record_recv(self.session, out, ctypes.c_size_t(size))) == -28:
            if time.monotonic() >= end:
                raise socket.timeout()
        self._check(n)
        return out.raw[:n]

    def close(self):
        self._lib.gnutls_deinit(self.session)
        self._lib.gnutls_certificate_free_credentials(self.credentials)
        super().close()
