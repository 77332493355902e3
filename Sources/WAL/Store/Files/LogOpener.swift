import Glibc

/// The kinds of file-backed logs, and how each is found and begun.
enum LogKind: Sendable {
    /// A directory of segments of this size; nil takes the stored size, or the default for a new log.
    case directory(segmentSize: Int?)
    case singleFile
}

/// Looks at what is at a log's place and, where nothing is, makes a log there. Everything up to the point where recovery begins.
struct LogOpener {
    let paths: LogPaths
    let kind: LogKind
    let fileSystem: any FileSystem
    let time: any TimeSource
    let configuration: LogConfiguration

    /// For a log of segments of whatever size, which is there.
    static func existing(_ paths: LogPaths, _ fileSystem: any FileSystem, _ time: any TimeSource) -> LogOpener {
        LogOpener(paths: paths, kind: .directory(segmentSize: nil), fileSystem: fileSystem, time: time, configuration: .init())
    }

    /// A log that was found intact so far.
    struct Admitted {
        var control: ControlFile
        var facts: Facts
        var epochs: EpochTable
        var isCopied: Bool
        /// The facts are other than what is stored, one copy is damaged, or they may not be durable (`FactsFound.isSettled`): to be written once the
        /// tail has been accepted, too, and before anything rests on them.
        var factsAreDue: Bool
    }

    /// `.vacant`, `.occupied` or `.log`, and what occupies the place.
    func look() throws(WALError) -> (place: AdmissionEvidence.Place, what: String) {
        // The kernel would take what comes before it for the path.
        guard !paths.name.utf8.contains(0) else { return (.occupied, "a path has no zero byte") }
        guard !paths.name.isEmpty else { return (.occupied, "the path is empty") }
        if try fileSystem.status(paths.control) != nil { return (.log, "") }
        switch kind {
        case .directory:
            guard let status = try fileSystem.status(paths.directory) else { return (.vacant, "") }
            guard status.kind == .directory else { return (.occupied, "it is no directory") }
            let ours: Set<String> = ["lock", "maintenance"]
            let names = try fileSystem.list(paths.directory)
            let stranger = names.sorted().first { !ours.contains($0) && !$0.hasSuffix(".tmp") }
            // It came while we looked: somebody else has made the log.
            if try fileSystem.status(paths.control) != nil { return (.log, "") }
            if names.contains(ReplicaMark.fileName) { return (.occupied, "it is being restored, and not complete: run the same restore again") }
            if let stranger { return (.occupied, "it has no control file but holds \(stranger)") }
            return (.vacant, "")
        case .singleFile:
            guard let file = paths.singleFile, let status = try fileSystem.status(file) else { return (.vacant, "") }
            if try fileSystem.status(paths.control) != nil { return (.log, "") }
            guard status.kind == .regular, status.size == 0 else {
                return (.occupied, "there is no control file \(paths.control) beside it")
            }
            return (.vacant, "")
        }
    }

    /// Refuses what is no log, for those who begin none: `.notALog`, or what is wrong with its control file. Changes nothing.
    func requireLog() throws(WALError) {
        let (place, what) = try look()
        guard place == .log else { throw .notALog(path: paths.name, reason: place == .vacant ? "there is no control file" : what) }
        try ControlFile.requireIdentity(paths, fileSystem)
    }

    /// Refuses what may not be opened, before anything is written, not even a lock file.
    func refuseStrangers() throws(WALError) {
        let (place, what) = try look()
        switch place {
        case .occupied: throw .notALog(path: paths.name, reason: what)
        case .log: try ControlFile.requireIdentity(paths, fileSystem)
        case .vacant: break
        }
    }

    /// Makes the directory that the lock lies in. Its own entry is not durable before `create`.
    func makeDirectory() throws(WALError) {
        guard case .directory = kind, try fileSystem.status(paths.directory) == nil else { return }
        // Somebody else may make it at the same time: the lock in it says whose the log is.
        do throws(WALError) { try fileSystem.makeDirectory(paths.directory) } catch .io(_, _, EEXIST) {}
    }

    /// Makes a new log: its control file appears last, and durably. Under the writer's lock.
    func create() throws(WALError) {
        var segmentSize: UInt64 = 0
        if case .directory(let requested) = kind {
            let size = requested ?? LogLimits.segmentSizeDefault
            guard LogParameters.isValid(segmentSize: size) else {
                throw .parameterMismatch(
                    parameter: "segment size", stored: "a multiple of 4096 from 4096 to 1073741824", requested: "\(size)")
            }
            segmentSize = UInt64(size)
        }
        let maxRecordSize = try LogParameters.maxRecordSize(stored: nil, requested: configuration.maxRecordSize)
        // Whoever made the directory: a crash of ours a moment ago, or an operator.
        if case .directory = kind { try fileSystem.syncEntry(ofDirectory: paths.directory) }
        var generator = SystemRandomNumberGenerator()
        let identity = IdentityPage(logID: .random(using: &generator), segmentSize: segmentSize, created: time.now())
        guard let epochs = EpochTable([Epoch(number: 1, id: .random(using: &generator), start: .zero)]) else { preconditionFailure("a first epoch is a history") }
        if let file = paths.singleFile, try fileSystem.status(file) == nil {
            try fileSystem.open(file, .createNew).close()
            // Never a control file without the log that it speaks of.
            try fileSystem.syncDirectory(paths.directory)
        }
        try ControlFile.create(
            paths, fileSystem, identity: identity,
            facts: Facts(
                generation: 0, logID: identity.logID, head: .zero, floor: .zero, maxRecordSize: maxRecordSize,
                controlInode: 0, epochs: epochs.epochs),
            epochs: epochs)
    }

    /// Reads identity and facts and asks the admission table. Changes nothing.
    func admit(writable: Bool) throws(WALError) -> Admitted {
        let control = try ControlFile.open(paths, fileSystem, writable: writable)
        do throws(WALError) {
            return try admit(control)
        } catch {
            control.close()
            throw error
        }
    }

    private func admit(_ control: ControlFile) throws(WALError) -> Admitted {
        let found = try control.readFacts()
        let isNewer = found.errors.contains { $0.kind == .unsupported }
        let (parameters, mismatch) = compareParameters(control.identity, found.facts)
        let evidence = AdmissionEvidence(
            place: .log, identity: .intact,
            facts: isNewer ? .newer : found.facts == nil ? .neither : found.errors.isEmpty ? .bothCopies : .oneCopy,
            parameters: parameters, isCopied: found.isCopied, isReplica: found.facts?.isReplica ?? false)
        switch Admission.decide(evidence) {
        case .create: preconditionFailure("the log exists")
        case .refuse(.parameterMismatch): throw mismatch ?? .notALog(path: paths.name, reason: "parameters differ")
        case .refuse(.newerFormat), .refuse(.notALog):
            throw .notALog(path: paths.control, reason: found.errors.map { "\($0)" }.joined(separator: "; "))
        case .refuse(.damagedControl): throw .corruption(lsn: .zero, reason: found.describeDamage(paths.control))
        case .open(let repairFacts, _):
            guard var facts = found.facts else { preconditionFailure("admitted without facts") }
            let epochs = try control.epochTable(facts)
            let stored = facts.maxRecordSize
            if !found.isCopied {
                facts.maxRecordSize = try LogParameters.maxRecordSize(
                    stored: stored, requested: configuration.maxRecordSize)
            }
            return Admitted(
                control: control, facts: facts, epochs: epochs, isCopied: found.isCopied,
                factsAreDue: repairFacts || !found.isCopied && !found.isSettled || facts.maxRecordSize != stored)
        }
    }

    private func compareParameters(_ identity: IdentityPage, _ facts: Facts?)
        -> (AdmissionEvidence.Parameters, WALError?)
    {
        switch kind {
        case .directory(let requested):
            if identity.segmentSize == 0 {
                return (.segmentSizeDiffers, .parameterMismatch(parameter: "kind", stored: "a single file", requested: "a directory of segments"))
            }
            if let requested, UInt64(requested) != identity.segmentSize {
                return (.segmentSizeDiffers, .parameterMismatch(parameter: "segment size", stored: "\(identity.segmentSize)", requested: "\(requested)"))
            }
        case .singleFile:
            if identity.segmentSize != 0 {
                return (.segmentSizeDiffers, .parameterMismatch(parameter: "kind", stored: "a directory of segments", requested: "a single file"))
            }
        }
        do throws(WALError) {
            _ = try LogParameters.maxRecordSize(stored: facts?.maxRecordSize, requested: configuration.maxRecordSize)
            return (.agree, nil)
        } catch {
            return (.maximumIsSmaller, error)
        }
    }
}
