"""An engine for tests: the parts of a pool lie in this process, cut and lost where a test says."""

from entroloop.pools.hosts import LOST, InProcess


class Cuts:
    """Cuts pools at these rows. lose: says of each request to a part whether it is lost "before" or
    "after" it was done, or ""."""

    name, workers = "cuts", 1

    def __init__(self, *cuts, lose=None):
        self.cuts, self.lose = cuts, lose

    def distribute(self, rows):
        bounds = [0, *sorted(min(c, rows.shape[0]) for c in self.cuts), rows.shape[0]]
        hosts = InProcess(rows, bounds)
        return hosts if self.lose is None else Losing(hosts, self.lose)


class Losing:
    """Hosts that are lost now and then."""

    def __init__(self, hosts, lose):
        self.bounds, self._hosts, self._lose = hosts.bounds, hosts, lose
        self.lost = 0
        self._just_rebuilt = set()

    def ask(self, requests):
        gone = {i: "" if i in self._just_rebuilt else self._lose() for i in requests}
        self._just_rebuilt.clear()
        done = {i: calls for i, calls in requests.items() if gone[i] != "before"}
        answers = self._hosts.ask(done)
        return {i: LOST if gone[i] else answers[i] for i in requests}

    def rebuild(self, i):
        self.lost += 1
        self._just_rebuilt.add(i)
        self._hosts.rebuild(i)

    def close(self):
        self._hosts.close()
