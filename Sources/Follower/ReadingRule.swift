/// What to look for next at one LSN of one epoch, as a value without any I/O: the reading rule of `docs/format/archive.md` §6.
///
/// The caller performs the probe it is given and says what it found; the rule answers with the next probe or with what is true. It
/// ends after at most twenty-seven probes.
struct ReadingRule: Hashable, Sendable {
    /// One look at the archive, always at the same LSN.
    enum Probe: Hashable, Sendable {
        /// The segment object that holds the LSN.
        case segment
        /// The tail object of this level that begins there.
        case tail(level: Int)
        /// Whether the epoch's objects have other names since it was last asked: encryption was turned on.
        case names
        /// The gap document that begins there.
        case gap
        /// Whether the archive was pruned past it.
        case floor
        /// How far the epoch's shipper says that it had come.
        case head
        /// Whether any object of the epoch begins past it.
        case listing
    }

    enum Answer: Hashable, Sendable {
        /// The store says that it is not there. For `floor`: it does not lie above; for `listing`: nothing begins past.
        case absent
        /// It is there. For `floor`: it lies above the LSN; for `head`: it says that the archive goes on past the LSN;
        /// for `listing`: something begins past the LSN.
        case present
        /// For `head`: it is there and does not deny the end.
        case atEnd
        /// For `listing`: the store cannot list.
        case unsupported
    }

    enum Verdict: Hashable, Sendable {
        case probe(Probe)
        /// The bytes are in the object that was just found.
        case read
        /// The range was given up; the document was just found.
        case givenUp
        /// Pruned: the floor was just found.
        case pruned
        /// The archive ends here, as far as is known.
        case end
        /// Nothing is here although the archive goes on.
        case missing
        /// Whether the archive ends here cannot be told.
        case unproven
    }

    private static let levels = 0...3
    private static let order: [Probe] =
        [.segment] + levels.reversed().map { .tail(level: $0) } + [.segment, .names, .gap, .floor]

    /// Something must be here: a later epoch of the line begins past this LSN, or a head or a listing said so.
    private var isDenied: Bool
    /// The second reading, begun after the end was denied.
    private var isSecond = false
    /// Names change once.
    private var hasNewNames = false
    private var index = 0
    private var isAtHead = false
    private var isAtListing = false

    /// `mustGoOn`: a later epoch of the line begins past this LSN, so that it cannot be the end whatever the head says.
    init(mustGoOn: Bool) {
        isDenied = mustGoOn
    }

    var first: Probe { ReadingRule.order[0] }

    /// What the last probe found.
    mutating func found(_ answer: Answer) -> Verdict {
        if isAtListing { return listed(answer) }
        if isAtHead { return headSaid(answer) }
        switch (ReadingRule.order[index], answer) {
        case (_, .absent): break
        case (.names, _):
            if !hasNewNames {
                hasNewNames = true
                index = 0
                return .probe(ReadingRule.order[0])
            }
        case (.gap, _): return .givenUp
        case (.floor, _): return .pruned
        default: return .read
        }
        index += 1
        if index < ReadingRule.order.count { return .probe(ReadingRule.order[index]) }
        if isSecond { return .missing }
        // Where the line itself says that there is more, the head has nothing to add.
        if isDenied { return readAgain() }
        isAtHead = true
        return .probe(.head)
    }

    private mutating func headSaid(_ answer: Answer) -> Verdict {
        isAtHead = false
        switch answer {
        case .present: return readAgain()
        case .atEnd, .unsupported: return .end
        case .absent:
            isAtListing = true
            return .probe(.listing)
        }
    }

    private mutating func listed(_ answer: Answer) -> Verdict {
        isAtListing = false
        switch answer {
        case .present, .atEnd: return readAgain()
        case .absent: return .end
        case .unsupported: return .unproven
        }
    }

    /// What was not there may have come since it was asked for; what is denied is looked at once more.
    private mutating func readAgain() -> Verdict {
        isDenied = true
        isSecond = true
        index = 0
        return .probe(ReadingRule.order[0])
    }
}
