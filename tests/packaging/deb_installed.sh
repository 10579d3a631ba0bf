#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Inside of a system that systemd has booted, with the packages in /root/first and /root/later: what an operator does with them.
set -euo pipefail
first=$(echo /root/first/firezone-relay_[0-9]*.deb)
later=$(echo /root/later/firezone-relay_[0-9]*.deb)
env=/etc/firezone-relay.env

fail() {
  echo "FAILED: $*" >&2
  journalctl -u firezone-relay --no-pager -o cat -n 30 >&2 || true
  exit 1
}
step() { echo "   $*"; }
install() { apt-get install -q -y --allow-downgrades "$1" >/root/apt.log 2>&1 || { cat /root/apt.log; fail "installing $1"; }; }
main_pid() { systemctl show -p MainPID --value firezone-relay; }
told() { journalctl -u firezone-relay --no-pager -o cat | grep -F "$1" >/dev/null; }
bench() { fzr-bench relay --server 127.0.0.1:3478 --stamp-secret-file /etc/firezone-relay/secret "$@"; }
# All that is not a log, a cache or a list of dpkg's and systemd's own.
files() {
  find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /tmp -o -path /root -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg \
    -o -path /var/lib/apt -o -path /var/lib/systemd -o -path /var/tmp \) -prune -o -printf '%p\n' | grep -vE '^/etc/(passwd|group|shadow|gshadow|subuid|subgid|\.pwd\.lock)-?$' | sort
}

files >/root/before
getent passwd >/root/passwd
step "installs, and starts nothing: it does not know its address"
install "$first"
[ "$(systemctl is-enabled firezone-relay)" = disabled ] || fail "it is $(systemctl is-enabled firezone-relay)"
[ "$(systemctl is-active firezone-relay || true)" = inactive ] || fail "it is $(systemctl is-active firezone-relay)"
[ "$(stat -c '%a %U %G' /etc/firezone-relay/secret)" = "640 root firezone-relay" ] || fail "the secret is $(stat -c '%a %U %G' /etc/firezone-relay/secret)"
[ "$(stat -c '%a %U %G' /etc/firezone-relay)" = "750 root firezone-relay" ] || fail "its folder is $(stat -c '%a %U %G' /etc/firezone-relay)"
[ "$(stat -c '%a %U' $env)" = "600 root" ] || fail "$env is $(stat -c '%a %U' $env)"
grep -qxE '[0-9a-f]{64}' /etc/firezone-relay/secret || fail "the secret is none"
secret=$(cat /etc/firezone-relay/secret)

step "runs, once it knows it, as a user of its own"
sed -i 's/^#PUBLIC_IP4_ADDR=.*/PUBLIC_IP4_ADDR=127.0.0.1/' $env
echo UNAUTHENTICATED_RATE=0 >>$env
systemctl enable --now firezone-relay || fail "it does not start"
old=$(main_pid)
[ "$(ps -o user= -p "$old" | tr -d ' ')" = firezone-relay ] || [ "$(stat -c %u /proc/"$old")" = "$(id -u firezone-relay)" ] || fail "it is of $(ps -o user= -p "$old")"
firezone-relay probe turn:127.0.0.1:3478 --auth-secret-file /etc/firezone-relay/secret || fail "it does not relay"
# LoadCredential= and the like are not needed for what the package makes.
firezone-relay sessions || fail "root can't see sessions"
told "readable by everybody" && fail "the secret can be read by everybody"

step "what coturn was told, in a file for its group alone"
printf '%s\n' use-auth-secret 'static-auth-secret=one that coturn has had' realm=example.org external-ip=127.0.0.1 no-tcp >/root/turnserver.conf
printf 'one that coturn has had' >/root/coturn.secret
cp -p $env /root/env
install -m 0640 -g firezone-relay /dev/null /etc/firezone-relay/relay.conf
firezone-relay import-coturn /root/turnserver.conf >/etc/firezone-relay/relay.conf || fail "import-coturn"
sed -i 's/^AUTH_SECRET_FILE=/#&/; s/^PUBLIC_IP4_ADDR=/#&/; s,^#RELAY_CONFIG=.*,RELAY_CONFIG=/etc/firezone-relay/relay.conf,' $env
systemctl restart firezone-relay || fail "it does not start"
fzr-bench relay --server 127.0.0.1:3478 --rest-secret-file /root/coturn.secret --indications --packets 10 || fail "it does not relay"
cp -p /root/env $env
rm /etc/firezone-relay/relay.conf
systemctl restart firezone-relay || fail "it does not start"
old=$(main_pid)

step "an upgrade takes its place while a client's data goes through"
bench --clients 5 --direction both --rate 2000 --seconds 12 --json >/root/bench.json &
bench=$!
for _ in $(seq 100); do
  [ "$(ss -uanH "sport >= :49152" | wc -l)" -ge 5 ] && break
  sleep 0.1
done
install "$later"
new=$(main_pid)
[ "$new" != "$old" ] || { cat /root/apt.log; fail "the same process runs"; }
[ "$(systemctl is-active firezone-relay)" = active ] || fail "it is $(systemctl is-active firezone-relay)"
[ "$(readlink /proc/"$new"/exe)" = /usr/bin/firezone-relay ] || fail "it runs $(readlink /proc/"$new"/exe)"
told "Handed over to process $new" || fail "nothing was handed over"
[ ! -e "/proc/$old" ] || fail "the old process is there"
wait $bench || fail "what went through the upgrade"
cat /root/bench.json
grep -q '"lost": *0[,}]' /root/bench.json || fail "packets were lost"

step "one that can't take over lets the old one go on"
sed -i 's/^PUBLIC_IP4_ADDR=.*/PUBLIC_IP4_ADDR=127.0.0.2/' $env
install "$first"
grep -q "could not take over, and the old one goes on" /root/apt.log || { cat /root/apt.log; fail "nobody is told"; }
[ "$(main_pid) $(systemctl is-active firezone-relay)" = "$new active" ] || fail "it did not go on"
bench --packets 10 || fail "it does not relay"
sed -i 's/^PUBLIC_IP4_ADDR=.*/PUBLIC_IP4_ADDR=127.0.0.1/' $env
systemctl reload firezone-relay || fail "it can't take over when the mistake is mended"
[ "$(main_pid)" != "$new" ] || fail "the same process runs"
grep -q '^PUBLIC_IP4_ADDR=127.0.0.1$' $env || fail "what was configured is gone"

step "removed, it stops, and what was configured stays"
apt-get remove -q -y firezone-relay >/root/apt.log 2>&1 || { cat /root/apt.log; fail "removing"; }
pgrep -x firezone-relay && fail "it runs"
grep -q '^PUBLIC_IP4_ADDR=' $env || fail "what was configured is gone"
[ "$(cat /etc/firezone-relay/secret)" = "$secret" ] || fail "the secret is gone"

step "installed again, it is as it was: enabled, with its secret"
install "$first"
[ "$(cat /etc/firezone-relay/secret)" = "$secret" ] || fail "it has another secret"
[ "$(systemctl is-enabled firezone-relay)" = enabled ] || fail "it is $(systemctl is-enabled firezone-relay)"
systemctl start firezone-relay || fail "it does not start"
bench --packets 10 || fail "it does not relay"

step "purged, nothing of it is left"
apt-get purge -q -y firezone-relay >/root/apt.log 2>&1 || { cat /root/apt.log; fail "purging"; }
pgrep -x firezone-relay && fail "it runs"
files >/root/after
diff /root/before /root/after || fail "the files above"
getent passwd | diff /root/passwd - || fail "the users above"
systemctl --failed --no-legend | grep firezone && fail "systemd has it as failed"
exit 0
