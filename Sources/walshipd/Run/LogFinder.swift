import Dispatch
import Foundation
import WAL

/// Looks for logs: whether one is in a directory, whether it is still the same one, and which ones a pattern finds. Reads a few directory
/// entries; never on the cooperative pool, because a mount may hang.
enum LogFinder {
    /// What makes a log in a directory another one: its control file, which is never replaced while a log lives.
    struct Identity: Hashable, Sendable {
        var device: UInt64
        var file: UInt64
    }
    struct Found: Sendable {
        var log: LogSettings
        var identity: Identity
    }
    struct Result: Sendable {
        var found: [Found] = []
        /// What matches and cannot be shipped: path and reason.
        var refused: [String: String] = [:]
    }

    /// The log in `directory`, or nil where there is none yet. Throws `WALError.notALog` where something else is.
    static func identity(of directory: String) async throws -> Identity? {
        try await off { () throws(any Error) in try look(directory) }
    }

    /// Every log that a pattern finds, the earlier pattern first, each path once.
    static func find(_ patterns: [LogPattern]) async -> Result {
        await off { () throws(Never) in
            var result = Result()
            var seen: Set<String> = []
            for pattern in patterns {
                for (path, part) in matches(pattern) where seen.insert(path).inserted {
                    do {
                        guard let identity = try look(path) else { continue }
                        if let name = pattern.name(for: part) {
                            result.found.append(Found(log: LogSettings(path: path, name: name), identity: identity))
                        } else {
                            result.refused[path] = "'\(part)' is no name for an archive (\(LogPattern.nameRule)); list this log with a name of its own"
                        }
                    } catch {
                        result.refused[path] = "\(error)"
                    }
                }
            }
            return result
        }
    }

    private static func look(_ directory: String) throws -> Identity? {
        guard try LogReader.exists(directory: directory) else { return nil }
        let control = "\(directory)/control"
        guard let attributes = try? FileManager.default.attributesOfItem(atPath: control),
            let device = number(attributes[.systemNumber]), let file = number(attributes[.systemFileNumber])
        else {
            // Gone between the two looks, or on the way there; whoever asks asks again.
            return nil
        }
        return Identity(device: device, file: file)
    }

    private static func number(_ value: Any?) -> UInt64? {
        (value as? NSNumber)?.uint64Value ?? (value as? any BinaryInteger).map { UInt64(truncatingIfNeeded: $0) }
    }

    private static func matches(_ pattern: LogPattern) -> [(path: String, part: String)] {
        // A directory that is not there, or not to be read, has no logs for now: it may come.
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: pattern.parent)) ?? []
        return entries.filter(pattern.matches).sorted().map { (pattern.path(for: $0), $0) }
    }

    private static func off<T: Sendable, E: Error>(_ work: @escaping @Sendable () throws(E) -> T) async throws(E) -> T {
        let result: Swift.Result<T, E> = await withCheckedContinuation { continuation in
            // Dispatch has more threads when these do not come back.
            DispatchQueue.global().async { continuation.resume(returning: Swift.Result { () throws(E) in try work() }) }
        }
        return try result.get()
    }
}
