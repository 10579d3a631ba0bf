#!/bin/sh
# Entry point for containers: fills in what the environment leaves open, then runs its arguments.
#
#   docker-init-relay.sh firezone-relay [ARGUMENTS...]
#
# FIREZONE_TOKEN                    if it names a file (or has a slash in it): replaced by what is in it, which has to be something
# LISTEN_ADDRESS_DISCOVERY_METHOD   gce_metadata or aws_ec2_metadata: PUBLIC_IP4_ADDR and PUBLIC_IP6_ADDR, where they are not set, come
#                                   from the cloud's metadata service
# OTEL_METADATA_DISCOVERY_METHOD    gce_metadata: OTEL_RESOURCE_ATTRIBUTES gets the instance's id, name and region
# GCE_METADATA_URL, EC2_METADATA_URL   where those services are
#
# Ends with status 1, and one line that says why, when what was asked for can't be had.
set -eu

gce=${GCE_METADATA_URL:-http://metadata.google.internal}
ec2=${EC2_METADATA_URL:-http://169.254.169.254}

fail() {
  echo "docker-init-relay.sh: $*" >&2
  exit 1
}

# What fetch returns for a 404.
absent=44

# fetch URL [CURL-OPTIONS...]: what is there. Whatever goes wrong, but a 404, is the end, after some tries.
fetch() {
  url=$1
  shift
  answer=$(curl --silent --noproxy '*' --connect-timeout 2 --max-time 5 --retry 2 --retry-connrefused --max-filesize 65536 \
    --write-out '\n%{http_code}' "$@" "$url") || fail "can't reach $url (curl says $?)"
  status=$(printf '%s\n' "$answer" | tail -n 1)
  case "$status" in
  200) printf '%s\n' "$answer" | sed '$d' ;;
  404) return "$absent" ;;
  *) fail "$url answered with status $status" ;;
  esac
}

gce_get() {
  fetch "$gce/computeMetadata/v1/instance/$1" --header 'Metadata-Flavor: Google'
}

ec2_get() {
  fetch "$ec2/latest/meta-data/$1" --header "X-aws-ec2-metadata-token: $ec2_token"
}

# Whether $1 looks like an address: what is not must not reach the command line of anything.
is_ip4() { printf '%s' "$1" | grep -Eqx '[0-9]{1,3}(\.[0-9]{1,3}){3}'; }
is_ip6() { printf '%s' "$1" | grep -Eqix '[0-9a-f:]*:[0-9a-f:.]*'; }

# use_ip4 ADDRESS, use_ip6 ADDRESS: sets the variable, where there is none.
use_ip4() {
  [ -z "$1" ] && return
  is_ip4 "$1" || fail "the metadata service has no IPv4 address: '$(printf '%.64s' "$1" | tr -cd '[:print:]')'"
  export PUBLIC_IP4_ADDR="$1"
}
use_ip6() {
  [ -z "$1" ] && return
  is_ip6 "$1" || fail "the metadata service has no IPv6 address: '$(printf '%.64s' "$1" | tr -cd '[:print:]')'"
  export PUBLIC_IP6_ADDR="$1"
}

discover_gce() {
  if [ -z "${PUBLIC_IP4_ADDR:-}" ]; then
    found=$(gce_get network-interfaces/0/access-configs/0/external-ip) || [ $? -eq "$absent" ]
    use_ip4 "$found"
  fi
  if [ -z "${PUBLIC_IP6_ADDR:-}" ]; then
    found=$(gce_get network-interfaces/0/ipv6s) || [ $? -eq "$absent" ]
    use_ip6 "$(printf '%s' "$found" | head -n 1)"
  fi
}

discover_ec2() {
  if [ -n "${PUBLIC_IP4_ADDR:-}" ] && [ -n "${PUBLIC_IP6_ADDR:-}" ]; then
    return
  fi
  ec2_token=$(fetch "$ec2/latest/api/token" --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 60') || {
    [ $? -eq "$absent" ] && fail "$ec2/latest/api/token answered with status 404: is this an EC2 instance, with its metadata service (IMDSv2) on?"
    exit 1
  }
  [ -n "$ec2_token" ] || fail "$ec2/latest/api/token gives no token"
  if [ -z "${PUBLIC_IP4_ADDR:-}" ]; then
    found=$(ec2_get public-ipv4) || [ $? -eq "$absent" ]
    use_ip4 "$found"
  fi
  if [ -z "${PUBLIC_IP6_ADDR:-}" ]; then
    found=$(ec2_get ipv6) || [ $? -eq "$absent" ]
    use_ip6 "$(printf '%s' "$found" | head -n 1)"
  fi
}

# A value of OTEL_RESOURCE_ATTRIBUTES: all but plain characters percent-encoded.
encode() {
  for byte in $(printf '%s' "$1" | od -An -v -tx1); do
    case "$byte" in
    2d | 2e | 3[0-9] | 4[1-9a-f] | 5[0-9a] | 5f | 6[1-9a-f] | 7[0-9a] | 7e) printf '%b' "\\0$(printf '%o' "0x$byte")" ;;
    *) printf '%%%s' "$byte" ;;
    esac
  done
}

gce_need() {
  gce_get "$1" || fail "the metadata service does not know this instance's $1"
}

describe_gce() {
  id=$(gce_need id)
  name=$(gce_need name)
  # projects/123/zones/us-east1-b: the region is the zone without its last part.
  zone=$(gce_need zone)
  zone=${zone##*/}
  ours="service.instance.id=$(encode "$id"),gcp.gce.instance.name=$(encode "$name"),cloud.region=$(encode "${zone%-*}")"
  # What the user has set comes last, and so wins.
  export OTEL_RESOURCE_ATTRIBUTES="$ours${OTEL_RESOURCE_ATTRIBUTES:+,$OTEL_RESOURCE_ATTRIBUTES}"
}

if [ $# -eq 0 ]; then
  echo "docker-init-relay.sh: expected a command to run, such as: docker-init-relay.sh firezone-relay" >&2
  exit 2
fi

# No token has a slash: a path that leads nowhere must not go to the portal, nor an empty file make a relay without one.
case "${FIREZONE_TOKEN:-}" in
*/*)
  [ -f "$FIREZONE_TOKEN" ] || fail "FIREZONE_TOKEN is a path, but there is no file: '$(printf '%.200s' "$FIREZONE_TOKEN" | tr -cd '[:print:]')'"
  ;;
esac
if [ -f "${FIREZONE_TOKEN:-}" ]; then
  token_file=$FIREZONE_TOKEN
  FIREZONE_TOKEN=$(cat -- "$token_file") || fail "can't read the file that FIREZONE_TOKEN names"
  [ -n "$(printf '%s' "$FIREZONE_TOKEN" | tr -d '[:space:]')" ] ||
    fail "the file that FIREZONE_TOKEN names is empty: '$(printf '%.200s' "$token_file" | tr -cd '[:print:]')'"
  export FIREZONE_TOKEN
fi

case "${LISTEN_ADDRESS_DISCOVERY_METHOD:-}" in
'') ;;
gce_metadata) discover_gce ;;
aws_ec2_metadata) discover_ec2 ;;
*) fail "LISTEN_ADDRESS_DISCOVERY_METHOD is '$LISTEN_ADDRESS_DISCOVERY_METHOD': expected gce_metadata or aws_ec2_metadata" ;;
esac

case "${OTEL_METADATA_DISCOVERY_METHOD:-}" in
'') ;;
gce_metadata) describe_gce ;;
*) fail "OTEL_METADATA_DISCOVERY_METHOD is '$OTEL_METADATA_DISCOVERY_METHOD': expected gce_metadata" ;;
esac

exec "$@"
