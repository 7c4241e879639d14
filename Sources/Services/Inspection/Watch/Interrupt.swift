import Glibc

/// Ends the process at once when it is interrupted or told to end, with success: to be ended is
/// the way of commands that go on for ever.
///
/// Also where a caller's mask, which is inherited, holds the signals back.
func endOnInterrupt() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] {
        signal(number) { _ in _exit(0) }
        sigaddset(&signals, number)
    }
    sigprocmask(SIG_UNBLOCK, &signals, nil)
}
