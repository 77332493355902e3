import Glibc

/// Standard output and standard error of the process, written without a buffer in between. Safe from any thread; one call's
/// bytes may be interleaved with another's only where the kernel takes a write in parts.
package enum StandardStream: Int32, Sendable {
    case output = 1
    case error = 2

    /// As `OutputPipe.write`.
    package func write(_ bytes: Span<UInt8>) throws(WALError) { try OutputPipe(descriptor: rawValue, name: name).write(bytes) }

    /// isatty(3): somebody watches.
    package var isTerminal: Bool { isatty(rawValue) == 1 }

    /// How many characters a line of the terminal has; nil where that is not known, or nobody watches. ioctl(2), TIOCGWINSZ.
    package var columns: Int? {
        var size = winsize()
        // SAFETY: the call fills the structure, and keeps no pointer to it.
        guard unsafe ioctl(rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }

    private var name: String {
        switch self {
        case .output: "standard output"
        case .error: "standard error"
        }
    }

    /// Descriptors 0 to 2 that the process was started without are opened, in the direction in which nobody uses them: else the
    /// first file opened would get such a number, and output meant for people would be written into a log. Call it first.
    package static func claimDescriptors() throws(WALError) {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            // The lowest free number, which is this one (open(2)); use of it is EBADF, as if it were closed.
            try SystemCall.run("open", on: "/dev/null") {
                unsafe open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
            }
        }
    }

    /// signal(2), SIGPIPE ignored: writing to a pipe that nobody reads becomes an error (EPIPE) instead of sudden death.
    package static func ignoreBrokenPipes() {
        _ = signal(SIGPIPE, SIG_IGN)
    }
}

extension WALError {
    /// Whether the reader at the other end of a pipe is gone.
    package var isBrokenPipe: Bool {
        if case .io(_, _, EPIPE) = self { true } else { false }
    }

    /// Whether the reason is that nothing is at the path (ENOENT, or a parent that is no directory).
    package var isMissingFile: Bool {
        switch self {
        case .io(_, _, ENOENT), .io(_, _, ENOTDIR): true
        default: false
        }
    }
}
