import Archive
import ArgumentParser
import Follower
import WAL

/// `walshipd promote`: a replica becomes the log that is written.
struct PromoteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote",
        abstract: "Makes a replica (a restored or copied log) the log that is written from now on.",
        discussion: """
            With --archive, the next epoch is claimed there first, which stops every older writer; then what the archive holds and the replica \
            lacks is taken in; then the epoch begins. With --at, which must be the replica's end, the new epoch begins there instead, and what \
            the archive holds past it is no longer part of the log. Without --archive the epoch begins in the log alone, and shipping claims it, \
            unless the archive has grown past the log's end by then: shipping ends with 4 and touches nothing. To leave behind what is there, \
            promote once more with --archive and --at, the LSN where the epoch began.

            After a crash or an error, run it again. A log that is no replica is left as it is.

            Exit codes: 3 where the archive cannot be read to its end, 4 where another writer claimed the epoch or the archive is of another \
            history, 6 where storage cannot be reached.
            """)

    @Option(help: ArgumentHelp("The replica's directory.", valueName: "dir"))
    var log: String

    @Option(help: ArgumentHelp("An archive of the log, <base>/<log name>; repeat it for each.", valueName: "url"))
    var archive: [String] = []

    @Flag(help: "Nothing in the archives is replaced or deleted, and no head document is written: as with ship.immutable.")
    var immutable = false

    @OptionGroup var s3: S3Options
    @OptionGroup var keys: KeyOptions

    @Option(help: ArgumentHelp("Begin the new epoch at this LSN, the replica's end, whatever the archive holds.", valueName: "lsn"), transform: LSNText.parse)
    var at: LSN?

    mutating func validate() throws {
        if log.isEmpty { throw ValidationError("--log is empty; name the replica's directory") }
        if at != nil, archive.isEmpty {
            throw ValidationError("--at leaves behind what archives hold past it: name them with --archive")
        }
    }

    mutating func run() async throws {
        try LogDirectory.require(log)
        var destinations: [Promotion.Destination] = []
        for argument in archive {
            let opening = try await ArchiveOpening(argument, s3, keys, isImmutable: immutable)
            // Nothing is written to a place that is no archive.
            _ = try await ArchiveReader.open(store: opening.store, log: opening.log)
            // How claims are made exclusive depends on what the store can do.
            _ = try await opening.store.probe(prefix: Layout(log: opening.log).probe)
            destinations.append(Promotion.Destination(store: opening.store, log: opening.log, keys: opening.keys, isImmutable: immutable))
        }
        let outcome = try await Promotion(directory: log, destinations: destinations, fork: at).run()
        var words = outcome.wasReplica ? "promoted: " : "\(log) is no replica, nothing to do: "
        words += "epoch \(outcome.epoch.number) (\(outcome.epoch.id)) from LSN \(outcome.epoch.start)"
        if outcome.takenIn > 0 { words += "; \(outcome.takenIn) bytes were taken in from the archive" }
        if !outcome.hasBegunEverywhere { words += "; an archive in which nothing has begun is claimed by shipping" }
        try Output.error.write(line: words)
    }
}
