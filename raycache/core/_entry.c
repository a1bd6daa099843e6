/* `NearEntry` of entry.py in C: the same attributes, the same answers, a third of the time.
 *
 * `hit` looks at the clock, the lease, the slot and the expiry, in this order: see `versions` for why. It keeps no
 * pointer into shared memory between calls; a memoryview that was released since is refused by the sequence protocol,
 * which all other kinds of sequences take, too.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>
#include <structmember.h>
#include <time.h>

typedef struct {
    PyObject_HEAD
    PyObject *key, *value, *result, *lease, *slots;
    double expires, cost_s;
    Py_ssize_t size, slot;
    unsigned long long version;
    long long hits, seen;
} NearEntry;

static PyObject *stale, *monotonic; /* the second: NULL where it is not the C function */

/* The place of item i in a memoryview of 8-byte items; NULL where it is something else, or cannot be looked at. */
static void *
place(PyObject *items, char format, Py_ssize_t i)
{
    if (!PyMemoryView_Check(items))
        return NULL;
    PyMemoryViewObject *view = (PyMemoryViewObject *)items;
    if (view->flags & _Py_MEMORYVIEW_RELEASED || view->mbuf->flags & _Py_MANAGED_BUFFER_RELEASED)
        return NULL;
    const Py_buffer *buffer = &view->view;
    if (buffer->ndim != 1 || buffer->itemsize != 8 || buffer->strides[0] != 8 || buffer->format == NULL ||
        buffer->format[0] != format || buffer->format[1] != '\0' || i < 0 || i >= buffer->shape[0])
        return NULL;
    return (char *)buffer->buf + 8 * i;
}

/* Whether the lease holds at this time; -1: an exception. */
static int
leased(NearEntry *self, double now)
{
    const double *at = place(self->lease, 'd', 0);
    if (at != NULL) {
        double until;
        __atomic_load(at, &until, __ATOMIC_ACQUIRE);
        return now < until;
    }
    PyObject *item = PySequence_GetItem(self->lease, 0);
    if (item == NULL)
        return -1;
    double until = PyFloat_AsDouble(item);
    Py_DECREF(item);
    return until == -1.0 && PyErr_Occurred() ? -1 : now < until;
}

/* Whether the slot is what it was; -1: an exception. */
static int
unchanged(NearEntry *self)
{
    const unsigned long long *at = place(self->slots, 'Q', self->slot);
    if (at != NULL)
        return __atomic_load_n(at, __ATOMIC_ACQUIRE) == self->version;
    PyObject *item = PySequence_GetItem(self->slots, self->slot);
    if (item == NULL)
        return -1;
    unsigned long long version = PyLong_AsUnsignedLongLong(item);
    Py_DECREF(item);
    return version == (unsigned long long)-1 && PyErr_Occurred() ? -1 : version == self->version;
}

static int
live_at(NearEntry *self, double now)
{
    int live = leased(self, now);
    if (live > 0)
        live = unchanged(self);
    return live > 0 ? now < self->expires : live;
}

/* What the clock reads; *now is -1.0 with an exception set. `time.monotonic` is read without a call of Python. */
static double
read_clock(PyObject *clock)
{
    struct timespec now;
    if (clock == monotonic && clock_gettime(CLOCK_MONOTONIC, &now) == 0)
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    PyObject *read = PyObject_CallNoArgs(clock);
    if (read == NULL)
        return -1.0;
    double seconds = PyFloat_AsDouble(read);
    Py_DECREF(read);
    return seconds;
}

PyDoc_STRVAR(live_doc, "live($self, now, /)\n--\n\nWhether it may be used at this time. First the lease, then the slot.");

static PyObject *
live(NearEntry *self, PyObject *now)
{
    double at = PyFloat_AsDouble(now);
    if (at == -1.0 && PyErr_Occurred())
        return NULL;
    int live = live_at(self, at);
    return live < 0 ? NULL : PyBool_FromLong(live);
}

PyDoc_STRVAR(hit_doc, "hit($self, clock, /)\n--\n\nThe value, counted as a hit, or STALE if it may not be used now.");

static PyObject *
hit(NearEntry *self, PyObject *clock)
{
    double now = read_clock(clock);
    if (now == -1.0 && PyErr_Occurred())
        return NULL;
    int live = live_at(self, now);
    if (live < 0)
        return NULL;
    if (!live || self->value == NULL)
        return Py_NewRef(stale);
    self->hits++;
    return Py_NewRef(self->value);
}

static PyObject *
make(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *names)
{
    if (PyVectorcall_NARGS(nargsf) != 7 || (names != NULL && PyTuple_GET_SIZE(names)) || !PyTuple_Check(args[6]) ||
        PyTuple_GET_SIZE(args[6]) != 4) {
        PyErr_SetString(PyExc_TypeError, "NearEntry(key, value, result, expires, cost_s, size, voucher)");
        return NULL;
    }
    PyObject *voucher = args[6];
    double expires = PyFloat_AsDouble(args[3]), cost_s = PyFloat_AsDouble(args[4]);
    Py_ssize_t size = PyLong_AsSsize_t(args[5]), slot = PyLong_AsSsize_t(PyTuple_GET_ITEM(voucher, 2));
    unsigned long long version = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(voucher, 3));
    if (PyErr_Occurred())
        return NULL;
    NearEntry *self = PyObject_New(NearEntry, (PyTypeObject *)type);
    if (self == NULL)
        return NULL;
    self->key = Py_NewRef(args[0]);
    self->value = Py_NewRef(args[1]);
    self->result = Py_NewRef(args[2]);
    self->lease = Py_NewRef(PyTuple_GET_ITEM(voucher, 0));
    self->slots = Py_NewRef(PyTuple_GET_ITEM(voucher, 1));
    self->expires = expires;
    self->cost_s = cost_s;
    self->size = size;
    self->slot = slot;
    self->version = version;
    self->hits = self->seen = 0;
    return (PyObject *)self;
}

static PyObject *
new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(names))
{
    return make((PyObject *)type, &PyTuple_GET_ITEM(args, 0), (size_t)PyTuple_GET_SIZE(args), NULL);
}

static void
dealloc(NearEntry *self)
{
    Py_DECREF(self->key);
    Py_XDECREF(self->value); /* it may have been deleted, as an attribute */
    Py_DECREF(self->result);
    Py_DECREF(self->lease);
    Py_DECREF(self->slots);
    PyObject_Free(self);
}

static PyMemberDef members[] = {
    {"key", T_OBJECT_EX, offsetof(NearEntry, key), READONLY, NULL},
    {"value", T_OBJECT_EX, offsetof(NearEntry, value), 0, NULL},
    {"result", T_OBJECT_EX, offsetof(NearEntry, result), READONLY, NULL},
    {"lease", T_OBJECT_EX, offsetof(NearEntry, lease), READONLY, NULL},
    {"slots", T_OBJECT_EX, offsetof(NearEntry, slots), READONLY, NULL},
    {"slot", T_PYSSIZET, offsetof(NearEntry, slot), READONLY, NULL},
    {"version", T_ULONGLONG, offsetof(NearEntry, version), READONLY, NULL},
    {"expires", T_DOUBLE, offsetof(NearEntry, expires), READONLY, NULL},
    {"cost_s", T_DOUBLE, offsetof(NearEntry, cost_s), READONLY, NULL},
    {"size", T_PYSSIZET, offsetof(NearEntry, size), READONLY, NULL},
    {"hits", T_LONGLONG, offsetof(NearEntry, hits), 0, NULL},
    {"seen", T_LONGLONG, offsetof(NearEntry, seen), 0, NULL},
    {NULL},
};

static PyMethodDef methods[] = {
    {"live", (PyCFunction)live, METH_O, live_doc},
    {"hit", (PyCFunction)hit, METH_O, hit_doc},
    {NULL},
};

static PyTypeObject NearEntryType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "raycache.core._entry.NearEntry",
    .tp_doc = "One result, with what vouches for it.",
    .tp_basicsize = sizeof(NearEntry),
    .tp_flags = Py_TPFLAGS_DEFAULT, // what an entry refers to never leads back to it: the collector need not know it,
    .tp_new = new,
    .tp_vectorcall = make,
    .tp_dealloc = (destructor)dealloc,
    .tp_methods = methods,
    .tp_members = members,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "raycache.core._entry", .m_size = -1};

static PyObject *
attribute(const char *name, const char *of)
{
    PyObject *found = NULL, *from = PyImport_ImportModule(of);
    if (from != NULL)
        found = PyObject_GetAttrString(from, name);
    Py_XDECREF(from);
    return found;
}

PyMODINIT_FUNC
PyInit__entry(void)
{
    stale = attribute("STALE", "raycache.core.entry");
    monotonic = attribute("monotonic", "time");
    if (stale == NULL || monotonic == NULL || PyType_Ready(&NearEntryType) < 0)
        return NULL;
    if (!PyCFunction_Check(monotonic)) /* a test has put another clock in its place */
        Py_CLEAR(monotonic);
    PyObject *made = PyModule_Create(&module);
    if (made != NULL && (PyModule_AddObjectRef(made, "NearEntry", (PyObject *)&NearEntryType) < 0 ||
                         PyModule_AddObjectRef(made, "STALE", stale) < 0))
        Py_CLEAR(made);
    return made;
}
