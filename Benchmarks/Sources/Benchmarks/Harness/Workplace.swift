import CLimits
import Foundation
import Glibc

/// The directory in which everything is measured, so that the log and its limits use one file system. Removed at the end of a run.
final class Workplace: Sendable {
    /// Absolute.
    let path: String
    /// Less volume, for a first look.
    let isQuick: Bool
    private let descriptor: Int32

    /// Makes `path`, which must not be there, or be empty: all that is in it is removed in the end.
    init(path: String, isQuick: Bool) throws {
        let url = URL(filePath: path)
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        guard try FileManager.default.contentsOfDirectory(atPath: url.path).isEmpty else {
            throw BenchmarkError.notEmpty(path: url.path)
        }
        self.path = url.path
        self.isQuick = isQuick
        descriptor = try File.check("open", url.path) { open(url.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
    }

    deinit { close(descriptor) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Calls `body` with a path where nothing is, and removes what it has left there.
    func withFresh<T>(_ name: String, _ body: (String) throws -> T) throws -> T {
        let place = file(name)
        try remove(place)
        let result: T
        do {
            result = try body(place)
        } catch {
            try? remove(place)
            throw error
        }
        try remove(place)
        return result
    }

    func remove(_ place: String) throws {
        if FileManager.default.fileExists(atPath: place) { try FileManager.default.removeItem(atPath: place) }
    }

    /// Writes everything that waits to be written, so that each probe begins with a file system at rest.
    func settle() throws {
        let code = limits_syncfs(descriptor)
        if code != 0 { throw BenchmarkError.system(call: "syncfs", path: path, errno: code) }
    }

    func removeAll() throws { try remove(path) }
}

/// What keeps a benchmark from measuring.
enum BenchmarkError: Error, CustomStringConvertible {
    case system(call: String, path: String, errno: Int32)
    case notEmpty(path: String)
    /// What was measured is not what was meant to be measured.
    case notAsExpected(String)

    var description: String {
        switch self {
        case .system(let call, let path, let code): "\(call) \(path): \(String(cString: strerror(code)))"
        case .notEmpty(let path): "\(path) is not empty: name a directory that may be filled and removed"
        case .notAsExpected(let what): what
        }
    }
}
