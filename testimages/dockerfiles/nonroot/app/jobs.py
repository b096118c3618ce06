from sortedcontainers import SortedList


class Queue:
    def __init__(self, jobs):
        self.jobs = SortedList(jobs)

    def __len__(self):
        return len(self.jobs)

    def next(self):
        if not self.jobs:
            return None
        return self.jobs.pop(0)[1]
