import ArgumentParser
import WAL

/// A log named on the command line, opened for reading, with errors that tell "nothing is there" from "that is no log".
enum LogDirectory {
    /// Throws `.notFound` where nothing is, `WALError` otherwise.
    static func open(_ directory: String) throws -> LogReader {
        do throws(WALError) {
            return try LogReader.open(directory: directory)
        } catch {
            guard case .notALog = error, try LogReader.isVacant(directory: directory) else { throw error }
            throw CommandError(.notFound, "there is no log in \(directory); check --log")
        }
    }

    static func validate(_ directory: String) throws {
        if directory.isEmpty { throw ValidationError("--log is empty; name the directory that holds the log") }
    }
}
