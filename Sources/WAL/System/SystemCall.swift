import Glibc

/// The one place where a system call's result becomes a value or an error.
///
/// EINTR is retried here and nowhere else: every call made through this either restarts cleanly or reports how far it came.
/// EBADF and EFAULT can only be mistakes of this program (a descriptor used after close or against its mode, a dead
/// pointer); going on could write into a file that is not ours, so they trap.
package enum SystemCall {
    /// Runs a call that reports failure as a negative result and errno.
    @discardableResult
    package static func run<Result: SignedInteger>(
        _ operation: StaticString, on path: @autoclosure () -> String, _ call: () -> Result
    ) throws(WALError) -> Result {
        while true {
            let result = call()
            if result >= 0 { return result }
            let code = errno
            if code != EINTR { throw error(code, in: operation, on: path()) }
        }
    }

    /// Runs a call that returns 0 or a positive errno; returns the errno when it is among `expected`.
    @discardableResult
    package static func check(
        _ operation: StaticString, on path: @autoclosure () -> String, allowing expected: [Int32] = [],
        _ call: () -> Int32
    ) throws(WALError) -> Int32 {
        while true {
            let code = call()
            if code == 0 || expected.contains(code) { return code }
            if code != EINTR { throw error(code, in: operation, on: path()) }
        }
    }

    /// The error for `code`, which a call named `operation` gave on `path`.
    package static func error(_ code: Int32, in operation: StaticString, on path: String) -> WALError {
        precondition(code != EBADF, "\(operation) on \(path): the descriptor is closed or not open in this mode")
        precondition(code != EFAULT, "\(operation) on \(path): bad address")
        return .system(operation: "\(operation)", path: path, errno: code)
    }
}

extension WALError {
    /// How the file system seam reports an errno: the two that mean a full disk or quota are `noSpace`, all others `io`.
    package static func system(operation: String, path: String, errno code: Int32) -> WALError {
        switch code {
        case ENOSPC, EDQUOT: .noSpace(path: path)
        default: .io(operation: operation, path: path, errno: code)
        }
    }
}
