import Drill

DrillCommand.runAndExit()
