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
            throw nothing(in: directory)
        }
    }

    /// Throws `.notFound` where nothing is, for commands that do not open the log as readers do.
    static func require(_ directory: String) throws {
        if try LogReader.isVacant(directory: directory) { throw nothing(in: directory) }
    }

    private static func nothing(in directory: String) -> CommandError { CommandError(.notFound, "there is no log in \(directory); check --log") }

    /// An error of reading a log from `from` (nil: its head) on, as one of the command line where it is one.
    static func explain(_ error: any Error, reading directory: String, from: LSN?) -> any Error {
        switch error as? WALError {
        case .positionLost(let head):
            return CommandError(
                .notFound, "records below LSN \(head) of \(directory) have been truncated; use --from \(head), or read them from the archive")
        case .corruption(let lsn, _):
            guard lsn == from, let begin = record(at: lsn, of: directory), begin < lsn else { return error }
            return CommandError(
                .notFound, "no record of \(directory) begins at LSN \(lsn); the one that LSN \(lsn) lies in begins at LSN \(begin): use --from \(begin)")
        default: return error
        }
    }

    /// Where the record begins that `lsn` lies in; nil where there is real damage on the way to it, which counts then.
    private static func record(at lsn: LSN, of directory: String) -> LSN? {
        do throws(WALError) {
            let reader = try LogReader.open(directory: directory)
            defer { reader.close() }
            return try reader.recordBoundary(atOrBelow: lsn)
        } catch {
            return nil
        }
    }

    /// An error of making `directory`, as one of the command line where it is one.
    static func explain(_ error: any Error, making directory: String) -> any Error {
        guard let error = error as? WALError, case .io("mkdir", _, _) = error, error.isMissingFile else { return error }
        return CommandError(.notFound, "\(directory) cannot be made, because there is no directory above it; make that first (\(error))")
    }

    static func validate(_ directory: String) throws {
        if directory.isEmpty { throw ValidationError("--log is empty; name the directory that holds the log") }
    }
}
