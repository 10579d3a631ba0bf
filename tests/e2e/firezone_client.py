# SPDX-License-Identifier: Apache-2.0
"""A TURN client that behaves as Firezone's does, in the points where a relay can get it wrong:

- it knows realm and credentials beforehand, so its first Allocate is signed and lacks only the nonce;
- it throws away every answer without a right MESSAGE-INTEGRITY, errors too, but for Binding;
- it asks for both families at once, and repeats the Allocate's attributes in each Refresh;
- on 438 it tries again with the new nonce; on 401 after it has sent a nonce it gives its credentials up;
- an Allocate that gets 437 means an allocation it has forgotten: it deletes that one and allocates again.
"""

import select
import socket
import time

import stun

REALM = "firezone"
# Retransmissions, in seconds since the one before; then it is given up.
RETRANSMIT = (0.5, 1, 2, 4, 8)


class Timeout(Exception):
    """No answer that could be trusted."""


class Refused(Exception):
    """The relay answered with an error that the client does not recover from."""

    def __init__(self, code, message=None):
        super().__init__("error %d" % code)
        self.code = code
        self.message = message


class CredentialsDead(Refused):
    """401 although a nonce was sent: the client gives up its allocation."""


class Client:
    def __init__(self, relay_address, username, password, source=None):
        family = socket.AF_INET6 if ":" in relay_address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        if source:
            self.socket.bind(source)
        self.socket.connect(relay_address)
        self.retransmit = RETRANSMIT
        self.set_credentials(username, password)
        self.nonce = None
        self.relayed = {}
        self.mapped = None
        self.lifetime = None
        self.family_error = None
        self.next_channel = 0x4000
        self.channels = {}
        self.inbox = []
        self.errors_seen = []
        self.thrown_away = 0

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    def set_credentials(self, username, password):
        """Fresh credentials from the portal; they are used from the next request on."""
        self.username = username
        self.key = stun.key_of(username, REALM, password)

    # ---- requests ----

    def binding(self):
        """Returns the client's address as the relay sees it."""
        transaction = stun.new_transaction()
        message = self._exchange(stun.build(stun.BINDING, stun.REQUEST, transaction, []), transaction, None)
        return message.address(stun.XOR_MAPPED_ADDRESS)

    def request(self, method, attributes):
        """Does one request, over fresh nonces, and returns its success or raises Refused."""
        for _ in range(4):
            sent_nonce = self.nonce
            message = self.request_once(method, attributes)
            code = message.error()
            if code:
                self.errors_seen.append(code)
            if message.kind == stun.SUCCESS:
                return message
            self._learn(message)
            if code == 438 or code == 401 and sent_nonce is None:
                continue
            if code == 401:
                raise CredentialsDead(code, message)
            raise Refused(code, message)
        raise AssertionError("the relay asks for a new nonce again and again")

    def request_once(self, method, attributes, transaction=None):
        """One request with what nonce there is; returns the signed answer, whatever it says."""
        transaction = transaction or stun.new_transaction()
        full = list(attributes) + [(stun.USERNAME, self.username.encode()), (stun.REALM, REALM.encode())]
        if self.nonce is not None:
            full.append((stun.NONCE, self.nonce))
        return self._exchange(stun.build(method, stun.REQUEST, transaction, full, self.key), transaction, self.key)

    def _learn(self, message):
        nonce, realm = message.get(stun.NONCE), message.get(stun.REALM)
        if message.error() in (401, 438):
            if nonce is None or realm != REALM.encode():
                raise AssertionError("%d without nonce or with another realm" % message.error())
            self.nonce = nonce

    def _exchange(self, request, transaction, key):
        for wait in self.retransmit:
            self.socket.send(request)
            end = time.monotonic() + wait
            while True:
                message = self._read(end, transaction)
                if message is None:
                    break
                if key is None or message.verify(key):
                    return message
                self.thrown_away += 1
        raise Timeout("no answer to a request, or only unsigned ones (%d)" % self.thrown_away)

    def _read(self, end, transaction):
        """The answer to `transaction` that comes before `end`, or None. ChannelData that comes first goes to the inbox."""
        while True:
            data = self._datagram(end)
            if data is None:
                return None
            if self._take_data(data):
                continue
            try:
                message = stun.Message(data)
            except ValueError:
                continue
            if message.kind in (stun.SUCCESS, stun.ERROR) and message.transaction == transaction:
                return message

    def _datagram(self, end):
        left = end - time.monotonic()
        if left <= 0:
            return None
        ready = select.poll()
        ready.register(self.socket, select.POLLIN)
        if not ready.poll(left * 1000):
            return None
        try:
            return self.socket.recv(65536)
        except ConnectionRefusedError:
            return b""

    # ---- allocation ----

    def allocate(self):
        """Allocates both families, recovering from an allocation that is still there (437)."""
        attributes = [(stun.REQUESTED_TRANSPORT, stun.UDP),
                      (stun.ADDITIONAL_ADDRESS_FAMILY, stun.family_value(stun.IPV6))]
        try:
            message = self.request(stun.ALLOCATE, attributes)
        except Refused as error:
            if error.code != 437:
                raise
            self.refresh(0)
            message = self.request(stun.ALLOCATE, attributes)
        self.accept(message)
        return message

    def accept(self, message):
        """Takes over what an Allocate's success says."""
        self.relayed = {6 if ":" in host else 4: (host, port)
                        for host, port in message.addresses(stun.XOR_RELAYED_ADDRESS)}
        self.mapped = message.address(stun.XOR_MAPPED_ADDRESS)
        self.lifetime = message.lifetime()
        self.family_error = message.get(stun.ADDRESS_ERROR_CODE)
        self.channels = {}

    def refresh(self, lifetime=None):
        """Refreshes; the relay has to bear the attributes that belong into an Allocate. Lifetime 0 deletes."""
        attributes = [(stun.REQUESTED_TRANSPORT, stun.UDP),
                      (stun.ADDITIONAL_ADDRESS_FAMILY, stun.family_value(stun.IPV6))]
        if lifetime is not None:
            attributes.append((stun.LIFETIME, stun.number(lifetime)))
        try:
            message = self.request(stun.REFRESH, attributes)
        except Refused as error:
            if error.code == 437:
                self.relayed = {}
            raise
        self.lifetime = message.lifetime()
        return message

    def bind(self, peer, channel=None):
        """Binds a channel to `peer`, or refreshes its binding; returns the number."""
        if channel is None:
            channel = next((c for c, p in self.channels.items() if p == peer), None)
        if channel is None:
            channel = self.next_channel
            self.next_channel = channel + 1 if channel < 0x4FFF else 0x4000
        self.request(stun.CHANNEL_BIND, [(stun.CHANNEL_NUMBER, stun.channel_value(channel)),
                                         (stun.XOR_PEER_ADDRESS, peer)])
        self.channels[channel] = peer
        return channel

    # ---- data ----

    def send(self, channel, payload):
        self.socket.send(stun.channel_data(channel, payload))

    def receive(self, timeout=20.0):
        """The next (channel, payload), or None when none comes in time."""
        end = time.monotonic() + timeout
        while not self.inbox:
            data = self._datagram(end)
            if data is None:
                return None
            self._take_data(data)
        return self.inbox.pop(0)

    def _take_data(self, data):
        found = stun.read_channel_data(data)
        if found:
            self.inbox.append(found)
        return found is not None
