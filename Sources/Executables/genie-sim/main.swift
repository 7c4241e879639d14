import SimulationTool

GenieSimCommand.runAndExit()
