import CLinux
import Glibc

/// A thread with a name, for work that may block: it never runs on the cooperative pool. pthread_create(3).
package final class NamedThread: Sendable {
    private let thread: pthread_t

    /// Starts `body` on a new thread called `name` (at most 15 bytes, prctl(2) PR_SET_NAME).
    package init(name: String, body: @escaping @Sendable () -> Void) throws(WALError) {
        precondition(name.utf8.count <= 15, "a thread's name has at most 15 bytes")
        final class Start: Sendable {
            let name: String
            let body: @Sendable () -> Void
            init(name: String, body: @escaping @Sendable () -> Void) {
                self.name = name
                self.body = body
            }
        }
        var thread = pthread_t()
        let start = unsafe Unmanaged.passRetained(Start(name: name, body: body))
        let status = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                // SAFETY: `argument` is the retained Start that pthread_create was given, consumed once, here.
                let start = unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                unsafe walship_set_thread_name(start.name)
                start.body()
                return nil
            }, unsafe start.toOpaque())
        guard status == 0 else {
            unsafe start.release()
            throw .io(operation: "pthread_create", path: name, errno: status)
        }
        self.thread = thread
    }

    /// Waits for the body to return. Once, and not from the thread itself. pthread_join(3).
    package func join() {
        let status = pthread_join(thread, nil)
        precondition(status == 0, "pthread_join failed with \(status)")
    }
}
