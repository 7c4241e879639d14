import Bench

BenchCommand.runAndExit()
