/// A log of segments held by one who mends or promotes it: nobody writes it meanwhile, readers may be there.
///
/// Owns the writer's lock and the control file until `close`.
struct HeldLog {
    let paths: LogPaths
    let fileSystem: any FileSystem
    let time: any TimeSource
    let lock: any File
    /// As it was found.
    let found: LogOpener.Admitted

    var control: ControlFile { found.control }
    var files: SegmentDirectory { SegmentDirectory(paths: paths, fileSystem: fileSystem, control: control) }

    /// Takes hold of the log in `directory` for what `make` makes of it. Throws `.locked` while somebody writes, what opening a log throws where its
    /// control file cannot be used, and what `make` throws; then nothing is held.
    static func hold<Holder>(
        directory: String, fileSystem: any FileSystem, time: any TimeSource, for make: (HeldLog) throws(WALError) -> Holder
    ) throws(WALError) -> Holder {
        let paths = LogPaths(directory: directory)
        let opener = LogOpener.existing(paths, fileSystem, time)
        try opener.requireLog()
        let lock = try LogLock.takeWriter(paths, fileSystem)
        let found: LogOpener.Admitted
        do throws(WALError) {
            found = try opener.admit(writable: true)
        } catch {
            lock.close()
            throw error
        }
        let held = HeldLog(paths: paths, fileSystem: fileSystem, time: time, lock: lock, found: found)
        do throws(WALError) {
            return try make(held)
        } catch {
            held.close()
            throw error
        }
    }

    enum Purpose {
        /// It goes on at its end, as a log that is written does, with bytes of others: the end is brought in order. A copied directory is read whole, and left as it is.
        case toGrow
        /// A replica is to be written: all of it is read, and left as it is, but for a truncation that was interrupted.
        case toPromote
    }

    /// Finds the log's end. Throws as opening it does.
    func recover(_ purpose: Purpose, boot: BootID, incarnation: Incarnation) throws(WALError) -> Recovery.Result {
        let isGrowing = purpose == .toGrow
        var recovery = Recovery(
            paths: paths, fileSystem: fileSystem, control: control, medium: files, slots: SlotDirectory(paths: paths, fileSystem: fileSystem),
            configuration: .init(verify: found.isCopied || !isGrowing ? .full : .tail), boot: boot, incarnation: incarnation, factsAreDue: found.factsAreDue)
        recovery.isGrowing = isGrowing
        // Who only reads keeps nobody waiting, however long that takes.
        guard isGrowing || found.factsAreDue || found.facts.discardFrom != nil else {
            return try recovery.run(facts: found.facts, epochs: found.epochs, isCopied: found.isCopied)
        }
        return try control.underMaintenance(time) { () throws(WALError) in
            try recovery.run(facts: found.facts, epochs: found.epochs, isCopied: found.isCopied)
        }
    }

    func close() {
        control.close()
        lock.close()
    }
}
