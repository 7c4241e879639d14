import CNIPlugin
import Glibc

exit(CNIPlugin.runProcess())
