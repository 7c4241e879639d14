import Inspection

GenieRingCommand.runAndExit()
