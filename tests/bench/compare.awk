# SPDX-License-Identifier: Apache-2.0
# Makes compare.sh's table of its measurements: repetition, case, server, metric, value.

function median(text, values, n, i, j, swap)
{
  n = split(text, values, " ")
  for (i = 2; i <= n; i++)
    for (j = i; j > 1 && values[j] + 0 < values[j - 1] + 0; j--) {
      swap = values[j]
      values[j] = values[j - 1]
      values[j - 1] = swap
    }
  return n % 2 ? values[(n + 1) / 2] : (values[n / 2] + values[n / 2 + 1]) / 2
}

function number(value)
{
  return value < 100 ? sprintf("%.1f", value) : sprintf("%d", value + 0.5)
}

# The bars: at most so much of coturn's and of the best floor's figure, or an absolute one. Where coturn's fastest mode is there, too, it is the
# better of both of its figures.
function set_bars(name, metric)
{
  of_coturn = of_floor = absolute = 0
  if (smoke == "true") # too short to judge by
    return
  set_bars_of_one_mode(name, metric)
  if (of_coturn && servers ~ /multiplex/)
    of_coturn = 0.95
}

function set_bars_of_one_mode(name, metric)
{
  if (metric == "latency_p50")
    of_floor = 1.1
  else if (metric == "server_memory")
    absolute = 1200
  else if (metric != "server_cpu")
    return
  else if (name ~ /^T(CP|LS)/) {
    of_coturn = name ~ /runs/ ? 0.5 : name ~ /^TLS/ ? 0.75 : 0.95 # the floor has 0.65 to 0.91 of that
    of_floor = name ~ /^TCP/ ? 1.25 : 0
  } else if (name ~ /^indications/ && name !~ /1280 B/)
    return
  else if (name ~ /^indications, GSO/)
    of_coturn = 0.3
  else if (name ~ /^indications, plain/)
    of_coturn = name ~ /100 clients/ ? 0.95 : 0.6 # the best floor has 0.6 to 0.8 with 100 clients
  else if (name ~ /^GSO/) {
    of_coturn = 0.25
    of_floor = 1.25
  } else if (name ~ /^plain/) {
    of_coturn = name ~ /100 clients/ ? 0.95 : 0.85
    of_floor = 1.15
  } else if (name ~ /^Binding/)
    of_coturn = 0.75
  else if (name ~ /^Refresh/)
    of_coturn = 0.4
  else if (name ~ /^Allocate/)
    of_coturn = 0.35
}

# Says whether |value| keeps |bar|, and counts it.
function judge(what, value, bar)
{
  if (value <= bar) {
    met++
    return "met"
  }
  missed[++n_missed] = what
  return "**missed**"
}

function ratio(what, value, of, bar)
{
  if (!of || !value)
    return "-"
  return sprintf("%.2f", value / of) (bar ? sprintf(" (%s: %.2f)", judge(what, value / of, bar), bar) : "")
}

function row(name, metric, unit, i, value, mine, best, line, coturn)
{
  best = mine = coturn = 0
  line = "| " name " | " unit
  for (i = 1; i <= n_servers; i++) {
    if (!((name, server[i], metric) in all)) {
      line = line " | -"
      continue
    }
    value = median(all[name, server[i], metric])
    line = line " | " number(value)
    if (server[i] == "relay")
      mine = value
    if (server[i] ~ /^coturn/ && (!coturn || (metric == "rate" ? value > coturn : value < coturn)))
      coturn = value
    if (server[i] ~ /^floor/ && (!best || value < best))
      best = value
  }
  set_bars(name, metric)
  if (metric == "rate")
    best = 0
  line = line " | " ratio(name " against coturn", mine, coturn, of_coturn) " | "
  if (absolute)
    line = line judge(name, mine, absolute) ": " absolute
  else
    line = line ratio(name " against the best floor", mine, best, of_floor)
  print line " |"
}

BEGIN {
  n_servers = split(servers, server, " ")
  line = "| case | unit"
  rule = "| --- | ---"
  for (i = 1; i <= n_servers; i++) {
    line = line " | " server[i]
    rule = rule " | ---:"
  }
  print line " | relay / coturn | relay / best floor |"
  print rule " | --- | --- |"
}

{
  all[$2, $3, $4] = all[$2, $3, $4] " " $5
  if (!($2 in seen)) {
    seen[$2] = 1
    name[++n_names] = $2
  }
}

# CPU time of the server, or with what the generator took, too.
function worker_cpu(name, server, with_generator)
{
  return median(all[name, server, "server_cpu"]) + (with_generator ? median(all[name, server, "generator_cpu"]) : 0)
}

function worker_row(name, with_generator, what, one, two)
{
  if (!((name, "1-worker", "server_cpu") in all) || !((name, "2-workers", "server_cpu") in all))
    return
  what = name (with_generator ? ", generator included" : "")
  one = worker_cpu(name, "1-worker", with_generator)
  two = worker_cpu(name, "2-workers", with_generator)
  sub(/^workers, /, "", what)
  printf "| %s | %d | %d | %s |\n", what, one, two, ratio("two workers, " what, two, one, smoke == "true" ? 0 : 1.1)
}

# Send and Data of the relay against its own channels.
function indication_row(name, channels, mine, cost)
{
  channels = name
  sub(/^indications/, "channels", channels)
  if (!((name, "relay", "server_cpu") in all) || !((channels, "relay", "server_cpu") in all))
    return
  cost = median(all[channels, "relay", "server_cpu"])
  mine = median(all[name, "relay", "server_cpu"])
  sub(/^channels, /, "", channels)
  printf "| %s | %d | %d | %s |\n", channels, cost, mine, ratio(name " against channels", mine, cost,
    smoke == "true" || name !~ /1280 B/ ? 0 : name ~ /GSO/ ? 1.5 : 1.15)
}

# What an operation costs beside many idle allocations, and alone: at most 1.1 times as much.
function crowd_row(name, i, alone, beside, line, crowded)
{
  beside = name
  sub(/alone$/, "beside", beside)
  line = name
  sub(/^crowd: /, "", line)
  sub(/, alone$/, "", line)
  for (i = 1; i <= n_servers; i++) {
    if (!((name, server[i], "server_cpu") in all) || !((beside, server[i], "server_cpu") in all))
      continue
    alone = median(all[name, server[i], "server_cpu"])
    crowded = median(all[beside, server[i], "server_cpu"])
    printf "| %s | %s | %d | %d | %s |\n", line, server[i], alone, crowded,
      ratio(line " beside idle allocations", crowded, alone, smoke == "true" || server[i] != "relay" ? 0 : 1.1)
  }
}

# A flow beside another one: at most five times what its p99 is alone.
function beside_row(name, alone, p99)
{
  alone = median(all["100 packets/s alone", "relay", "latency_p99"])
  p99 = median(all[name, "relay", "latency_p99"])
  printf "| %s | %s | %s | %s |\n", name, number(median(all[name, "relay", "latency_p50"])), number(p99),
    name ~ /alone/ ? "-" : ratio("p99 of " name, p99, alone, smoke == "true" ? 0 : 5)
}

END {
  for (k = 1; k <= n_names; k++) {
    if (name[k] ~ /^(workers|100 packets|channels|crowd)/)
      continue
    if (name[k] ~ /sender|^T(CP|LS)/) {
      row(name[k], "server_cpu", "CPU ns per packet")
      row(name[k], "rate", "packets/s")
    } else if (name[k] ~ /^latency/) {
      row(name[k], "latency_p50", "p50, us")
      row(name[k], "latency_p99", "p99, us")
    } else if (name[k] == "memory") {
      row(name[k], "server_memory", "bytes per allocation with a channel")
    } else if (name[k] == "all memory") {
      row(name[k], "all_memory", "bytes per allocation of both families with a channel, kernel included")
    } else {
      row(name[k], "server_cpu", "CPU ns each")
      row(name[k], "rate", "per second")
    }
  }
  print "\n| indications against channels, the relay alone | channels, CPU ns per packet | indications | ratio |"
  print "| --- | ---: | ---: | --- |"
  for (k = 1; k <= n_names; k++)
    if (name[k] ~ /^indications/)
      indication_row(name[k])
  print "\n| two workers against one, generator and relay sharing all cores | 1 worker, CPU ns per packet | 2 workers | ratio |"
  print "| --- | ---: | ---: | --- |"
  for (k = 1; k <= n_names; k++)
    if (name[k] ~ /^workers/) {
      worker_row(name[k], 0)
      worker_row(name[k], 1)
    }
  print "\n| beside " idle " idle allocations with a channel each | server | alone, CPU ns each | beside them | ratio |"
  print "| --- | --- | ---: | ---: | --- |"
  for (k = 1; k <= n_names; k++)
    if (name[k] ~ /^crowd.*alone$/)
      crowd_row(name[k])
  print "\n| a flow beside another one of the same relay | p50, us | p99, us | p99 / alone |\n| --- | ---: | ---: | --- |"
  for (k = 1; k <= n_names; k++)
    if (name[k] ~ /^100 packets/)
      beside_row(name[k])
  if (smoke == "true")
    exit
  printf "\nBars: %d met, %d missed.\n", met, n_missed
  for (k = 1; k <= n_missed; k++)
    print "- missed: " missed[k]
}
