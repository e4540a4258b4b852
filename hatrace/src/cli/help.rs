//! The longer help texts.

/// Below the options of `hatrace --help`.
pub(super) const TOP: &str = "\
Examples:
  sudo hatrace --pid $(pidof haproxy)     follow; Ctrl-C shows the summary
  sudo hatrace stuck                      what is stuck right now
  sudo hatrace report -d 60               watch a minute, then report
  sudo hatrace culprits -d 60             who leaves connections open, and what to change
  sudo hatrace stuck --state CLOSE_WAIT --older 5m --json
  sudo hatrace sessions --older 5m        HAProxy's sessions beside the kernel's truth
  sudo hatrace record -o night.hatrace    put everything away; look later, elsewhere: report --from night.hatrace
  hatrace advise -f haproxy.cfg           what to change in the configuration, line by line
  hatrace explain CLOSE_WAIT              what a state, a verdict or a timeout means
  sudo hatrace doctor                     what this host allows
  sudo hatrace demo                       see it work on a HAProxy of its own

Without a command, hatrace traces: a line for each socket that leaves or lingers in a state.
Durations: 500ms, 2s, 5m, 1h30m; a bare number is seconds.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 this host or target can't.";

/// Below `trace --help`.
pub(super) const TRACE: &str = "\
A line says that a socket left a state (`->`) after HELD, or that it is still there (`..`).
Only states held for --min or longer are shown; -a shows every transition.

Examples:
  sudo hatrace trace -m 5s                only what is held for 5 s or longer
  sudo hatrace trace -a -d 10             every transition, for 10 s
  sudo hatrace trace --json | jq .        a JSON object a line";

/// Below `report --help`.
pub(super) const REPORT: &str = "\
The last line is made to be pasted into an incident channel.

Examples:
  sudo hatrace report -d 60               watch a minute, then report
  sudo hatrace report                     watch until Ctrl-C
  sudo hatrace report -d 5m --json -o report.json
  sudo hatrace report -d 60 --bundle bug.tar.gz    what HAProxy's maintainers ask for, with pseudonyms
  hatrace report --from lb1.hatrace lb2.hatrace    recordings of two hosts, put together
  sudo hatrace report -d 60 --compare before.hatrace    what the fix has changed";

/// Below `record --help`.
pub(super) const RECORD: &str = "\
A recording has addresses, names of proxies and servers, and what HAProxy said of its sessions: nobody but you may read the file.
It is gzip with a JSON object a line: zcat FILE | jq . reads it. A recorder that is killed has lost the last second.

Examples:
  sudo hatrace record -o night.hatrace -d 8h --max-size 1G
  sudo hatrace record -o night.hatrace --max-size 100M --rotate 5    the last 600 MB, until Ctrl-C
  sudo hatrace record -o report.hatrace --redact -d 5m    to be attached to a bug report
  sudo hatrace record -o reload.hatrace -- systemctl reload haproxy
  hatrace report --from night.hatrace*    needs no root, and no HAProxy
  hatrace stuck --from night.hatrace --at 2026-11-21T03:12:00Z";

/// Below `culprits --help`.
pub(super) const CULPRITS: &str = "\
Ranked by socket-seconds: how long its sockets have waited, together, those that go on included.
A finding says how sure it is: certain (what the kernel and HAProxy show leaves no other reading), likely, possible.

Examples:
  sudo hatrace culprits -d 60             watch a minute, then rank
  sudo hatrace culprits -d 60 --by prefix -r
  sudo hatrace culprits -d 60 --json | jq '.culprits[] | {peer, verdict, confidence, fix}'
  hatrace explain peer-never-closes       what a verdict means";

/// Below `advise --help`.
pub(super) const ADVISE: &str = "\
What explains sockets that are stuck now comes first, then what is wrong, then what is unusual.

Examples:
  hatrace advise -f /etc/haproxy/haproxy.cfg    a file by itself: no HAProxy, no root
  sudo hatrace advise                           the running one's, held against what is stuck now
  hatrace advise --from night.hatrace           the recorded one's, held against what was stuck then
  hatrace advise --from night.hatrace --what-if 'timeout client-fin 30s'
                                                what that line would have freed, and whom it would have cut
  hatrace advise -f new.cfg --json | jq '.findings[] | {file, line, write}'";

/// Below `logs --help`.
pub(super) const LOGS: &str = "\
tcplog, httplog, httpslog, clf, JSON and formats of your own; lines that aren't understood are counted, and shown with --unparsed.

Examples:
  hatrace logs /var/log/haproxy.log*            what ended how, explained; what became more frequent first
  journalctl -fu haproxy | hatrace logs -F      ends that are not normal, as they come
  hatrace logs -f /etc/haproxy/haproxy.cfg haproxy.log      with the formats of that configuration
  hatrace logs --json haproxy.log | jq '.endings[] | select(.rose_at)'
  sudo hatrace logs -F haproxy.log --pid $(pidof haproxy)   each line beside what the kernel sees of its sockets
  hatrace logs haproxy.log --from now.hatrace   the same of a recording (hatrace record -a)
  hatrace explain sD                            what a code means; sD--, --NI, NI as well";

/// Below `explain --help`.
pub(super) const EXPLAIN: &str = "\
Examples:
  hatrace explain                         every word there is
  hatrace explain half-closed-pair
  hatrace explain CLOSE_WAIT
  hatrace explain timeout client-fin
  hatrace explain FIN_WAIT2 --from night.hatrace    and what of it was recorded";

/// Below `sessions --help`.
pub(super) const SESSIONS: &str = "\
AGE is HAProxy's own: since the accept up to 2.8, since the request from 2.9 on. The age of a TCP state stands beside it.
BELIEVES: eof (the FIN was read), shut (our own was sent), and when HAProxy gives up: rex (to read), wex (to write).
--older, --peer, --proxy, --server select sessions; --state and --side those with such a socket.

Examples:
  sudo hatrace sessions --older 5m
  sudo hatrace sessions --state CLOSE_WAIT --side client
  sudo hatrace sessions --servers --proxy be_app";

/// Below `stuck --help`.
pub(super) const STUCK: &str = "\
Ages of sockets older than hatrace are what the kernel's own timestamps allow: ≥3h02m, 2m04s..5m10s.
CLOCK is what will end the socket, how soon, and where that is set: client-fin:27.1s(haproxy.cfg:12). With `none`
nothing will; `?`: HAProxy holds it and could not be asked.

Examples:
  sudo hatrace stuck --older 5m
  sudo hatrace stuck --peer 10.0.0.0/8 --state FIN_WAIT2
  sudo hatrace stuck | awk '$3 == \"CLOSE_WAIT\" { print $8 }'   the fds, for HAProxy's `show fd`";
