import NodeAgent

GeniedCommand.runAndExit()
