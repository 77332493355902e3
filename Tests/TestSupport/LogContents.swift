package import WAL

/// What a reader finds in a log's directory, beside its writer or without one.
package enum LogContents {
    package static func head(_ directory: String) throws -> LSN { try reading(directory) { try $0.headLSN } }

    package static func durable(_ directory: String) throws -> LSN { try reading(directory) { try $0.durableLSN } }

    /// All that is durable, in order.
    package static func records(_ directory: String) throws -> [Record] { try reading(directory) { try $0.iter().map { try $0.get() } } }

    private static func reading<Result>(_ directory: String, _ body: (LogReader) throws -> Result) throws -> Result {
        let reader = try LogReader.open(directory: directory)
        defer { reader.close() }
        return try body(reader)
    }
}
