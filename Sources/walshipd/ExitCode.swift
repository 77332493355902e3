import Archive
import Follower
import Shipper
import WAL

/// What the program's exit code says. Part of the interface: scripts depend on the numbers.
enum ExitCode: Int32, CaseIterable, Sendable {
    case done = 0
    case failed = 1
    /// The command line, the environment or the configuration file is wrong; nothing was done.
    case usage = 2
    /// Bytes are not what was written, or a range is missing although later ones are there.
    case damaged = 3
    /// Another writer owns the archive, or the archive holds something else than the log.
    case fenced = 4
    case notFound = 5
    /// Storage could not be reached, or said no.
    case storage = 6
}

/// An error that a command raises itself: the code, and what, where; what to do.
struct CommandError: Error, Equatable, CustomStringConvertible {
    var code: ExitCode
    var description: String

    init(_ code: ExitCode, _ description: String) {
        self.code = code
        self.description = description
    }

    static func usage(_ description: String) -> CommandError { CommandError(.usage, description) }
}

extension ExitCode {
    /// The code of an error of our own libraries or commands; nil for any other error (ArgumentParser's, above all).
    init?(ofDomainError error: any Error) {
        switch error {
        case let error as CommandError: self = error.code
        case is ConfigurationError: self = .usage
        case is ArgumentTextError: self = .usage
        case let error as WALError: self.init(of: error)
        case let error as ArchiveError: self.init(of: error)
        case let error as RestoreError: self = ExitCode(ofDomainError: error.cause) ?? .failed
        // Which of several moments is meant, only the user knows.
        case is AmbiguousTime: self = .usage
        case let error as ShipperError: self.init(of: error)
        default: return nil
        }
    }

    init(of error: WALError) {
        self =
            switch error {
            case .io: error.isMissingFile ? .notFound : .failed
            case .corruption, .copiedWhileLive: .damaged
            case .parameterMismatch: .usage
            case .positionLost: .notFound
            case .recordTooLarge, .encoding, .locked, .noSpace, .stopped, .notALog, .cancelled: .failed
            }
    }

    init(of error: ShipperError) {
        self =
            switch error {
            // Another machine may own what a copy claims to be.
            case .replica: .fenced
            case .archive(let error): ExitCode(of: error)
            case .log(let error): ExitCode(of: error)
            case .backlogLimitTooSmall: .usage
            case .timedOut: .storage
            }
    }

    init(of error: ArchiveError) {
        self =
            switch error.code {
            case .notFound: .notFound
            case .unreachable, .refused, .unauthorized, .outOfSpace, .tooLarge, .busy, .unsupported: .storage
            case .damaged, .gap, .endUnproven: .damaged
            case .diverged, .fenced: .fenced
            // A document that breaks the format is damage; a URL that does is what the user typed.
            case .invalid: error.key == nil ? .usage : .damaged
            // Nothing is wrong with the archive: the command line or the configuration lacks a key.
            case .keyMissing: .usage
            case .cancelled: .failed
            }
    }
}
