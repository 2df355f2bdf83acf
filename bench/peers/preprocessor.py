"""Runs in a virtual environment that has snapml, through its public interface only: bench/peers/graph.py starts it.

Usage: preprocessor.py EDGES BATCH THREADS FOUND; EDGES: `number,source,target,second` a line. Writes `RULE,number` for each
edge that takes part in a pattern to FOUND and prints `seconds cpu_seconds begun`: of the calls alone, and
when the first began by the monotonic clock, which all processes share."""
import sys
import time

import numpy
from snapml import GraphFeaturePreprocessor

DAY_S = 86400
FAN, MIDDLES, HOPS = 20, 3, 12
# What 1.17.2 does with bins, tried on small graphs: a size falls into the first bin that is not below it, else into the last.


def main():
    edges = numpy.loadtxt(sys.argv[1], delimiter=",", dtype=numpy.float64)
    batch, threads = int(sys.argv[2]), int(sys.argv[3])
    graph = GraphFeaturePreprocessor()
    settings = graph.get_params()
    settings.update({"num_threads": threads, "time_window": DAY_S, "vertex_stats": False, "lc-cycle": False, "degree": False,
                     "fan": True, "fan_tw": DAY_S, "fan_bins": [FAN - 1, FAN], "scatter-gather": True, "scatter-gather_tw": DAY_S, "scatter-gather_bins": [MIDDLES - 1, MIDDLES],
                     "temp-cycle": True, "temp-cycle_tw": DAY_S, "temp-cycle_bins": [HOPS, HOPS + 1]})
    graph.set_params(settings)
    pieces = []
    begin, used = time.monotonic(), time.process_time()
    for first in range(0, len(edges), batch):
        pieces.append(graph.transform(edges[first:first + batch]))
    seconds, used = time.monotonic() - begin, time.process_time() - used
    found = numpy.concatenate(pieces)[:, edges.shape[1]:]
    with open(sys.argv[4], "w") as out:
        # two bins each, in the order fan in, fan out, scatter-gather, temporal cycle: the large ones, of cycles the short ones
        for rule, column in (("FAN-IN", 1), ("FAN-OUT", 3), ("GATHER", 5), ("RING", 6)):
            out.writelines("%s,%d\n" % (rule, edge) for edge in edges[found[:, column] > 0, 0])
    print("%.4f %.4f %.4f" % (seconds, used, begin))


if __name__ == "__main__":
    main()
