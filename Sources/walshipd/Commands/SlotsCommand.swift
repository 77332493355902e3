import ArgumentParser
import WAL

/// `walshipd slots`: who holds a log's records, and the way to let go of one who is gone.
struct SlotsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "slots",
        abstract: "Lists the slots of a log, or drops one.",
        discussion: """
            A slot is the durable position of a consumer: a destination that the log is shipped to, or an application's pin. No record past the \
            lowest one is truncated.
            """,
        subcommands: [SlotsListCommand.self, SlotsDropCommand.self])
}

/// `walshipd slots list`.
struct SlotsListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Shows each slot: what it is, where it stands, whether a process serves it.",
        discussion: "Reads only. With --json: one array on one line; LSNs are decimal strings, null where a slot cannot be read.")

    @Option(help: ArgumentHelp("The directory of the log.", valueName: "dir"))
    var log: String

    @Flag(help: "Print JSON.")
    var json = false

    mutating func validate() throws { try LogDirectory.validate(log) }

    mutating func run() throws {
        let reader = try LogDirectory.open(log)
        defer { reader.close() }
        let slots = try reader.slots()
        if json {
            try Output.standard.write(line: JSONText.array(slots.map(Self.json)).text)
        } else if slots.isEmpty {
            try Output.error.write(line: "no slots: nothing holds truncation back")
        } else {
            let rows = [["slot", "kind", "position", "archived", "served", "holds"]] + slots.map(Self.row)
            for line in TextTable.aligned(rows) { try Output.standard.write(line: line) }
        }
    }

    private static func kind(_ slot: SlotListing) -> String? {
        switch slot.state?.kind {
        case .pin: "pin"
        case .destination: "destination"
        case nil: nil
        }
    }

    /// Tails included; nil for a pin.
    private static func archived(_ slot: SlotListing) -> LSN? {
        guard let state = slot.state, state.kind == .destination else { return nil }
        return max(state.archived, state.position)
    }

    private static func json(_ slot: SlotListing) -> JSONText {
        var held: JSONText = .null
        if case .from(let lsn) = slot.hold { held = .lsn(lsn) }
        return .object([
            ("name", .string(slot.name)),
            ("kind", .optional(kind(slot)) { .string($0) }),
            ("position_lsn", .lsn(slot.state?.position)),
            ("archived_lsn", .lsn(archived(slot))),
            ("held_lsn", held),
            ("served", .bool(slot.isServed)),
            ("readable", .bool(slot.state != nil)),
        ])
    }

    private static func row(_ slot: SlotListing) -> [String] {
        let holds =
            switch slot.hold {
            case .from(let lsn): "from \(lsn)"
            case .everything(let error): "everything: it cannot be read (\(error))"
            }
        return [
            slot.name, kind(slot) ?? "unreadable", slot.state.map { "\($0.position)" } ?? "-", archived(slot).map { "\($0)" } ?? "-",
            slot.isServed ? "yes" : "no", holds,
        ]
    }
}

/// `walshipd slots drop`.
struct SlotsDropCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop",
        abstract: "Removes a slot, so that it no longer holds truncation back.",
        discussion: """
            Nothing is removed from an archive. What the slot's consumer had not taken can be truncated from now on: it is lost to that consumer. A \
            destination that is still configured takes a new slot at the log's head when it is started, and compares with its archive.

            Exit codes: 1 while a process serves the slot (stop it first), 5 where there is no such slot.
            """)

    @Option(help: ArgumentHelp("The directory of the log.", valueName: "dir"))
    var log: String

    @Argument(help: ArgumentHelp("The slot, as `walshipd slots list` names it.", valueName: "name"))
    var name: String

    mutating func validate() throws { try LogDirectory.validate(log) }

    mutating func run() throws {
        // Also where a slot cannot be attached to for its own damage: what is wrong with the log itself is said.
        try LogDirectory.open(log).close()
        let sidecar = try LogSidecar.attach(directory: log)
        defer { sidecar.detach() }
        guard let slot = try sidecar.reader.slots().first(where: { $0.name == name }) else {
            throw CommandError(.notFound, "there is no slot \(name) in \(log); `walshipd slots list --log \(log)` names those that are there")
        }
        try sidecar.dropSlot(name)
        try Output.error.write(line: "dropped \(name), which held \(Self.words(slot.hold)); \(Self.words(try sidecar.hold()))")
    }

    private static func words(_ hold: SlotFile.Hold) -> String {
        switch hold {
        case .from(let lsn): "records from LSN \(lsn) on"
        case .everything: "everything, as it could not be read"
        }
    }

    private static func words(_ hold: SlotHold) -> String {
        switch hold {
        case .nothing: "nothing holds truncation back now"
        case .from(let lsn, let name): "\(name) holds records from LSN \(lsn) on"
        case .everything(let name): "\(name) still holds everything, as it cannot be read"
        }
    }
}
