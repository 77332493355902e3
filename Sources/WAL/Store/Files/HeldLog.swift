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

    func close() {
        control.close()
        lock.close()
    }
}
