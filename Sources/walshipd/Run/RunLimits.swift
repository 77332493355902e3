/// Every number of `walshipd run` that no setting changes, with its unit and its reason.
enum RunLimits {
    /// Logs that one program ships. Each costs a poll of its durable LSN per destination, ten a second, two at rest.
    static let logsMax = 1_000
    /// Descriptors of one log and destination: the log's control file and lock, the slot, a segment that is being read, and what the archive's
    /// connections take.
    static let descriptorsPerRoute = 8
    /// Descriptors of the program itself: standard streams, event loops, the resolver.
    static let descriptorsOfProgram = 64
    /// Between two looks for new logs where patterns are listed, and at whether a log that is shipped is still there: a few entries of a directory each.
    static let lookInterval: Duration = .seconds(5)
    /// How often a log that does not exist yet is looked for.
    static let vacantInterval: Duration = .milliseconds(500)

    static func descriptors(routes: Int) -> Int { descriptorsOfProgram + routes * descriptorsPerRoute }
}
