; Runs enqueues that are prepared, without Python. enqueue_code.py compiles it, enqueue_program.py
; makes a Program, and trt/native_enqueue.py an Adapter.

; The array of what the enqueue is given, 0 for inputs, 1 for outputs, 2 for workspace and stream;
; the place in it; the bytes to add; and the address of the word that gets the sum.
%Pointer = type { i64, i64, i64, ptr }

; A function of the driver and what it gets. All are integers or pointers, each of which takes a
; register or a whole word of the stack; so a function with fewer parameters ignores the last ones.
%Call = type { ptr, [11 x i64] }

; The status of the call that the driver refused, or 0, and its number; then how many pointers and
; calls there are, and where.
%Program = type { i64, i64, i64, ptr, i64, ptr }

; The program for the current shapes, or null; the adapter's enqueue in Python; and how many sizes
; the program is for, and where.
%Adapter = type { ptr, ptr, i64, ptr }

; The bytes from the inputs' descriptors to a dimension, and its size.
%Size = type { i64, i64 }

; Returns 0, or the status of the call that the driver refused.
define i64 @run(ptr %program, ptr %inputs, ptr %outputs, ptr %workspace, ptr %stream) {
begin:
  %rest = alloca [2 x ptr]
  %given = alloca [3 x ptr]
  %rest.0 = insertvalue [2 x ptr] poison, ptr %workspace, 0
  %rest.1 = insertvalue [2 x ptr] %rest.0, ptr %stream, 1
  store [2 x ptr] %rest.1, ptr %rest
  %given.0 = insertvalue [3 x ptr] poison, ptr %inputs, 0
  %given.1 = insertvalue [3 x ptr] %given.0, ptr %outputs, 1
  %given.2 = insertvalue [3 x ptr] %given.1, ptr %rest, 2
  store [3 x ptr] %given.2, ptr %given
  %known = load %Program, ptr %program
  %pointers = extractvalue %Program %known, 2
  %pointer.first = extractvalue %Program %known, 3
  %calls = extractvalue %Program %known, 4
  %call.first = extractvalue %Program %known, 5
  br label %next.pointer

next.pointer:
  %p = phi i64 [ 0, %begin ], [ %p.next, %pointer ]
  %has.pointer = icmp ult i64 %p, %pointers
  br i1 %has.pointer, label %pointer, label %next.call

pointer:
  %pointer.at = getelementptr %Pointer, ptr %pointer.first, i64 %p
  %pointer.row = load %Pointer, ptr %pointer.at
  %array = extractvalue %Pointer %pointer.row, 0
  %place = extractvalue %Pointer %pointer.row, 1
  %offset = extractvalue %Pointer %pointer.row, 2
  %word = extractvalue %Pointer %pointer.row, 3
  %array.at = getelementptr ptr, ptr %given, i64 %array
  %array.first = load ptr, ptr %array.at
  %base.at = getelementptr i64, ptr %array.first, i64 %place
  %base = load i64, ptr %base.at
  %sum = add i64 %base, %offset
  store i64 %sum, ptr %word
  %p.next = add i64 %p, 1
  br label %next.pointer

next.call:
  %c = phi i64 [ 0, %next.pointer ], [ %c.next, %call ]
  %has.call = icmp ult i64 %c, %calls
  br i1 %has.call, label %call, label %done

call:
  %call.at = getelementptr %Call, ptr %call.first, i64 %c
  %call.row = load %Call, ptr %call.at
  %function = extractvalue %Call %call.row, 0
  %a = extractvalue %Call %call.row, 1, 0
  %b = extractvalue %Call %call.row, 1, 1
  %d = extractvalue %Call %call.row, 1, 2
  %e = extractvalue %Call %call.row, 1, 3
  %f = extractvalue %Call %call.row, 1, 4
  %g = extractvalue %Call %call.row, 1, 5
  %h = extractvalue %Call %call.row, 1, 6
  %i = extractvalue %Call %call.row, 1, 7
  %j = extractvalue %Call %call.row, 1, 8
  %k = extractvalue %Call %call.row, 1, 9
  %l = extractvalue %Call %call.row, 1, 10
  %status = call i32 %function(i64 %a, i64 %b, i64 %d, i64 %e, i64 %f, i64 %g, i64 %h, i64 %i,
                               i64 %j, i64 %k, i64 %l)
  %c.next = add i64 %c, 1
  %is.refused = icmp ne i32 %status, 0
  br i1 %is.refused, label %refused, label %next.call

refused:
  %status.word = zext i32 %status to i64
  %number.at = getelementptr %Program, ptr %program, i64 0, i32 1
  store i64 %status.word, ptr %program
  store i64 %c, ptr %number.at
  br label %done

done:
  %answer = phi i64 [ 0, %next.call ], [ %status.word, %refused ]
  ret i64 %answer
}

; TensorRT's enqueue. Python has to prepare what is not prepared, and to say what was refused.
define i32 @enqueue(ptr %this, ptr %inputDesc, ptr %outputDesc, ptr %inputs, ptr %outputs,
                    ptr %workspace, ptr %stream) {
begin:
  %vtable = load ptr, ptr %this
  %adapter.at = getelementptr ptr, ptr %vtable, i64 SLOTS
  %adapter = load %Adapter, ptr %adapter.at
  %program = extractvalue %Adapter %adapter, 0
  %python = extractvalue %Adapter %adapter, 1
  %sizes = extractvalue %Adapter %adapter, 2
  %size.first = extractvalue %Adapter %adapter, 3
  %is.prepared = icmp ne ptr %program, null
  br i1 %is.prepared, label %next.size, label %in.python

next.size:
  %s = phi i64 [ 0, %begin ], [ %s.next, %size ]
  %has.size = icmp ult i64 %s, %sizes
  br i1 %has.size, label %size, label %natively

size:
  %size.at = getelementptr %Size, ptr %size.first, i64 %s
  %size.row = load %Size, ptr %size.at
  %bytes = extractvalue %Size %size.row, 0
  %known = extractvalue %Size %size.row, 1
  %dimension.at = getelementptr i8, ptr %inputDesc, i64 %bytes
  %dimension = load i64, ptr %dimension.at
  %s.next = add i64 %s, 1
  %is.same = icmp eq i64 %dimension, %known
  br i1 %is.same, label %next.size, label %in.python

natively:
  %status = call i64 @run(ptr %program, ptr %inputs, ptr %outputs, ptr %workspace, ptr %stream)
  %is.enqueued = icmp eq i64 %status, 0
  br i1 %is.enqueued, label %enqueued, label %in.python

enqueued:
  ret i32 0

in.python:
  %answer = tail call i32 %python(ptr %this, ptr %inputDesc, ptr %outputDesc, ptr %inputs,
                                  ptr %outputs, ptr %workspace, ptr %stream)
  ret i32 %answer
}
