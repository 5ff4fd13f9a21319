/** Pieces of what a broker says. */

export const at = (offset: number, epoch = 'a') => ({ epoch, offset });

export const message = (offset: number, fields = {}) => ({
	type: 'message',
	topic: 't',
	offset,
	time: 1,
	data: offset,
	...fields,
});
